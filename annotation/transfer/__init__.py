"""Files of any format in and out, large ones in processes of their own."""
