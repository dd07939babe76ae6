"""Simulated challenges: does the final score of a picked submission hold on new subjects?"""
