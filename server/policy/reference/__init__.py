"""Published dispatch policies to compare ours with, one small file each: their algorithms, our profiles and queue."""
