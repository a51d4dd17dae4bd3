"""One table for each optional bucket setting, with the file name of the setting. The tests of the role read them.

``CASES``: values, with what AWS's read call then answers. The first is the example's. Together they have every field.
``CLEARED``: what AWS's read call answers once the setting is cleared: an answer, or an error code.
``ROWS``: the ways in which others can change the setting in AWS.
``EQUAL_FORMS``: other forms of the example's value in AWS, which are no difference.
``REFUSED``: values that are refused before any request, with the beginning of the message.
"""
