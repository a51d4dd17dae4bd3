def test_quick(world, new_object):
    cr = new_object()
    run = world.reconcile(cr)
    print(run.output, run.outcome)
    assert run.outcome["done"], run.output
    assert world.differs(cr) == []
    run = world.reconcile(cr)
    assert run.changed == []
    print(world.snapshot(cr))
    from tests.support.world import deleting

    run = world.reconcile(deleting(cr))
    assert run.outcome["done"], run.output
    print(world.snapshot(cr))
