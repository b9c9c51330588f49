"""The deployer for Tencent Cloud: what stands there is read, what differs is changed, in an order
in which a death at any line is mended by the next run.

腾讯云部署程序。
"""
