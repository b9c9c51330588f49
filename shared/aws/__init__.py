"""What is particular to Amazon Web Services and no adapter of a store or bucket.

AWS 专有的部件。
"""
