"""A course out of the collection: copies, sheets with numbers of a student's own, grading, lectures.

`questions` reads the exercises out of the notebooks, `numbers` draws a student's own, `sheets` writes them,
`sandbox` runs what was handed in, `grading` judges it, `copies` and `lectures` make what is handed out.
"""
