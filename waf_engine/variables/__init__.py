"""variables"""
