"""Warehouse: facts and dimensions of card use as Parquet, without patients, for questions over years.

schema                        what the files hold: dimensions, measures, grains; published with its version
layout                        how the files are named in the report store, and which of them count
engine                        DuckDB over them, on a folder or an object storage
facts, build                  a hospital's day from the ledger, whole or not at all
compact                       a month's days as one file a hospital, and its sums in advance
dimensions                    names and levels behind the codes
check                         the warehouse against the ledger, day by day
run                           what commands and tasks call
"""
