// A ring of bytes for one producer and one consumer, as one writes it in C where nobody is ever killed: messages with
// their length before them, in a buffer that is mapped twice in a row so that none is cut in two; each side keeps the
// other's position as it last saw it, looks for news as often as it was told to, and then sleeps on a futex.

#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 4096 };

struct ring {
  _Alignas(128) _Atomic uint64_t head; // the producer's line
  uint64_t seen_tail;
  _Alignas(128) _Atomic uint64_t tail; // the consumer's
  uint64_t seen_head;
  _Alignas(128) _Atomic uint32_t consumer_sleeps;
  _Alignas(128) _Atomic uint32_t producer_sleeps;
  uint64_t capacity;
  int spins;
};

struct ring *ring_make(uint64_t capacity, int spins) {
  int fd = memfd_create("ring", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, HEADER + capacity) != 0) return NULL;
  char *at = mmap(NULL, HEADER + 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return NULL;
  int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
  void *first = mmap(at, HEADER + capacity, PROT_READ | PROT_WRITE, flags, fd, 0);
  void *again = mmap(at + HEADER + capacity, capacity, PROT_READ | PROT_WRITE, flags, fd, HEADER);
  close(fd);
  if (first == MAP_FAILED || again == MAP_FAILED) return NULL;
  struct ring *ring = first;
  ring->capacity = capacity;
  ring->spins = spins;
  return ring;
}

void ring_free(struct ring *ring) { munmap(ring, HEADER + 2 * ring->capacity); }

static char *slot(struct ring *ring, uint64_t position) {
  return (char *)ring + HEADER + (position & (ring->capacity - 1));
}

static uint64_t room(uint32_t length) { return 8 + (((uint64_t)length + 7) & ~7ull); }

static void wait_until_not(_Atomic uint64_t *position, uint64_t seen, _Atomic uint32_t *sleeps, int spins) {
  for (int i = 0; i < spins; i++) {
    if (atomic_load_explicit(position, memory_order_acquire) != seen) return;
    __builtin_ia32_pause();
  }
  for (;;) {
    atomic_store(sleeps, 1);
    if (atomic_load(position) != seen) break;
    struct timespec limit = {0, 100000000};
    syscall(SYS_futex, sleeps, FUTEX_WAIT, 1, &limit, NULL, 0);
    if (atomic_load(position) != seen) break;
  }
  atomic_store_explicit(sleeps, 0, memory_order_relaxed);
}

static void wake(_Atomic uint32_t *sleeps) {
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(sleeps, memory_order_relaxed) == 0) return;
  if (atomic_exchange(sleeps, 0) != 0) syscall(SYS_futex, sleeps, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void send_one(struct ring *ring, const char *message, uint32_t length, uint64_t number) {
  uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  while (ring->capacity - (head - ring->seen_tail) < room(length)) {
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (tail == ring->seen_tail) wait_until_not(&ring->tail, tail, &ring->producer_sleeps, ring->spins);
    else ring->seen_tail = tail;
  }
  char *at = slot(ring, head);
  memcpy(at, &length, sizeof length);
  memcpy(at + 8, message, length);
  memcpy(at + 8, &number, sizeof number);
  atomic_store_explicit(&ring->head, head + room(length), memory_order_release);
  wake(&ring->consumer_sleeps);
}

static uint64_t receive_one(struct ring *ring, char *message) {
  uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  while (ring->seen_head == tail) {
    ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (ring->seen_head == tail) wait_until_not(&ring->head, tail, &ring->consumer_sleeps, ring->spins);
  }
  char *at = slot(ring, tail);
  uint32_t length;
  memcpy(&length, at, sizeof length);
  memcpy(message, at + 8, length);
  atomic_store_explicit(&ring->tail, tail + room(length), memory_order_release);
  wake(&ring->producer_sleeps);
  uint64_t number;
  memcpy(&number, message, sizeof number);
  return number;
}

void ring_send(struct ring *ring, const char *message, uint32_t length, uint64_t from, uint64_t to) {
  for (uint64_t number = from; number < to; number++) send_one(ring, message, length, number);
}

// Whether all came, in order.
int ring_receive(struct ring *ring, char *message, uint64_t from, uint64_t to) {
  for (uint64_t number = from; number < to; number++)
    if (receive_one(ring, message) != number) return 0;
  return 1;
}
