// Shared memory with Node.js, in C: System V for an integer key, POSIX for a name.
//
//     cc -o share share.c && node share.js sysv ./share
//     ./share create KEY    makes a segment of three doubles, and leaves it
//     ./share double KEY    prints the doubles of a segment, and doubles them

#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COUNT = 3 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double *system_v(key_t key, int create, size_t *count) {
    int id = shmget(key, create ? COUNT * sizeof(double) : 0, create ? IPC_CREAT | IPC_EXCL | 0600 : 0);
    if (id < 0) fail("shmget");
    struct shmid_ds info;
    if (shmctl(id, IPC_STAT, &info) < 0) fail("shmctl");
    *count = info.shm_segsz / sizeof(double);
    void *start = shmat(id, NULL, 0);
    if (start == (void *)-1) fail("shmat");
    return start;
}

static double *posix(const char *name, int create, size_t *count) {
    int file = shm_open(name, create ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
    if (file < 0) fail("shm_open");
    if (create && ftruncate(file, COUNT * sizeof(double)) < 0) fail("ftruncate");
    struct stat info;
    if (fstat(file, &info) < 0) fail("fstat");
    *count = info.st_size / sizeof(double);
    void *start = mmap(NULL, info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (start == MAP_FAILED) fail("mmap");
    close(file); // the mapping stays
    return start;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: share create|double KEY\n"), 2;
    int create = strcmp(argv[1], "create") == 0;
    // An integer key of Node.js is the same 32 bits as a key_t.
    char *end;
    unsigned long key = strtoul(argv[2], &end, 10);
    size_t count;
    double *numbers = *end == '\0' ? system_v((key_t)key, create, &count) : posix(argv[2], create, &count);
    for (size_t i = 0; i < count; i++) {
        if (create) {
            numbers[i] = 1.5 + i;
        } else {
            printf(i == 0 ? "%g" : " %g", numbers[i]);
            numbers[i] *= 2;
        }
    }
    if (!create) printf("\n");
    return 0; // the end of the process detaches the segment; the segment stays
}
