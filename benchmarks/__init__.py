"""Measurements that the documents quote; each prints a table."""
