"""Tasks on one network (Mainstream): planned, run on streams of frames, served as gearshift.v1.Tasks."""
