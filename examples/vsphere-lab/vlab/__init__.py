"""The vSphere lab's own code: the KVM lab's servers on the tests' simulated vCenter.

It never imports the product.
"""
