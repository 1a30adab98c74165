"""Files: reading and writing them whole, on disk or in object storage; tables as CSV and XLSX."""
