"""The whole bundle on one machine, and the stand-ins for providers.

在一台机器上运行整套服务。
"""
