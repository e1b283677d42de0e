"""Compiling: what a function does with the tensors of one cell, as machine code for many cells.

    cell_graph       traces the function into a graph of ATen's operations
    operations       what each of them does to values; pointwise, views: kinds of them
    lowering         values to loops and products of matrices, with what is stored in between
    loops            loops, and what is done in the same ones; loop_text: as C
    matrix_products  products of matrices; matrix_products.cpp: how they are done
    memory           where everything lies
    program_source   all of that: from a graph to a program
    library          compiled, kept and loaded
    calls            called, for all cells and steps

Each cell is worked through on its own, so that its numbers stay in the processor's caches.
"""
