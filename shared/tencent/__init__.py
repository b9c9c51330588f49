"""What is particular to Tencent Cloud and no adapter of a store or bucket.

腾讯云专有的部件。
"""
