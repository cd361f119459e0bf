/*
 * Plugin for QEMU's user mode: counts the ARM instructions that each thread executes, by phase. The program under test calls
 * umask(0400 + n) to say that phase n begins, and umask(0377) to have the counts of its thread written and cleared: a line a
 * phase, "window phase instructions". Nothing else of a program changes, and Node's process.umask is enough to mark with.
 *
 *   gcc -O2 -shared -fPIC -o count.so count.c
 *   qemu-arm -plugin ./count.so,out=FILE PROGRAM
 *
 * The few functions of QEMU's plugin interface (version 1) are declared here, so that none of its headers is needed.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum { NO_REGISTERS_USED = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t,
                                                                   uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { THREADS = 64, PHASES = 64, UMASK_SYSCALL = 60, FIRST_PHASE = 0400, WRITE_OUT = 0377 };

static struct {
  unsigned phase;
  uint64_t instructions[PHASES];
} threads[THREADS];
static FILE *out;
static unsigned window;

static void executed(unsigned thread, void *instructions) {
  if (thread < THREADS) threads[thread].instructions[threads[thread].phase] += (uintptr_t)instructions;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, NO_REGISTERS_USED, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void write_out(unsigned thread) {
  for (unsigned phase = 0; phase < PHASES; phase++)
    if (threads[thread].instructions[phase] > 0)
      fprintf(out, "%u %u %" PRIu64 "\n", window, phase, threads[thread].instructions[phase]);
  fflush(out);
  memset(threads[thread].instructions, 0, sizeof threads[thread].instructions);
  window++;
}

static void called(qemu_plugin_id_t id, unsigned thread, int64_t number, uint64_t mask, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != UMASK_SYSCALL || thread >= THREADS) return;
  if (mask == WRITE_OUT) write_out(thread);
  else if (mask >= FIRST_PHASE && mask < FIRST_PHASE + PHASES) threads[thread].phase = mask - FIRST_PHASE;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || (out = fopen(argv[0] + 4, "w")) == NULL) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
