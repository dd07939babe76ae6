level = {}

level["missing"]
