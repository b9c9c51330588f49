"""Jobs: what they are, how they move, where they are kept.

任务的定义、流转与存取。
"""
