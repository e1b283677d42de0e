#!/bin/sh
# A script of your own, in shell and awk: a line through noisy points, by stochastic gradient
# descent with weight decay; nine of its ten inputs are noise.
#
#     landscape run examples/scripts/line.toml
#
# Usage: line.sh ALPHA LAMBDA SEED
set -eu
awk -v alpha="$1" -v lambda="$2" -v seed="$3" '
function noise() { return rand() + rand() + rand() + rand() - 2 }
function error(i,    j, found) {
    found = -y[i]
    for (j = 1; j <= inputs; j++) found += w[j] * x[i, j]
    return found
}
BEGIN {
    inputs = 10; points = 30; srand(seed + 1)
    for (i = 1; i <= 2 * points; i++) {
        for (j = 1; j <= inputs; j++) x[i, j] = noise()
        y[i] = 2 * x[i, 1] + noise()
    }
    for (epoch = 1; epoch <= 20; epoch++) {
        for (i = 1; i <= points; i++) {
            e = error(i)
            for (j = 1; j <= inputs; j++) w[j] -= alpha * (e * x[i, j] + lambda * w[j])
        }
        loss = 0
        for (i = points + 1; i <= 2 * points; i++) loss += error(i) ^ 2 / points
        print "epoch " epoch ": val loss " loss
    }
}'
