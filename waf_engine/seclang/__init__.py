"""seclang"""
