# What is counted, not timed: the tables of the two scripts go into the results as they are. Sourced by bench/run.

measure_instructions() {
  have valgrind || return 0
  "$here/instructions" --bin="$bin" ${quick:+--messages=2500} "${servers[@]}" >"$work/instructions.md"
}

measure_syscalls() {
  have strace || return 0
  "$here/syscalls" --bin="$bin" ${quick:+--messages=1000} "${servers[@]}" >"$work/syscalls.md"
}
