"""Tests of the gate in front of moto."""
