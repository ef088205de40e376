"""The lab's own code: what the KVM lab needs beside the product. It never imports the product."""
