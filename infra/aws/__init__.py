"""Deploying to Amazon Web Services, and the emulator that stands in for it on one machine.

部署到 AWS，以及在本机模拟 AWS。
"""
