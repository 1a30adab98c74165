"""The golden record: what the pipeline does with a known day, written down, so that a rebuild can be held against it.

    python -m tests.golden                 write tests/golden/recorded anew, after a change that is meant
    python -m tests.golden --full DIR      write everything at full length; two such folders can be compared with diff

Everything goes in where people put it in and is read where it comes out: a HIS, a hospital's file, the command line,
the bytes of a call, tables of the ledger, published files. Few names of the code are known here. The clock, the key of
the ledger and the token of the platform are fixed, so that nothing of it depends on the day or the machine. Left out
are seconds that something took, the random id of a call for a token, and paths of the temporary folder.
"""
