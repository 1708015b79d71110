"""Reading files that anybody may have made, and writing files that appear whole or not at all."""
