// Shared memory with Node.js, in C, on Windows: a section is named after its key.
//
//   cl windows.c
//   windows create KEY    makes a section of three doubles, and has it until its standard input ends
//   windows double KEY    prints the first three doubles of a section, and doubles them

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

enum { COUNT = 3 };

static int failed(const char *call) {
  fprintf(stderr, "%s: error %lu\n", call, GetLastError());
  return 1;
}

int main(int count, char **arguments) {
  if (count != 3) return fprintf(stderr, "usage: windows create|double KEY\n"), 2;
  char name[256];
  char *end;
  unsigned long id = strtoul(arguments[2], &end, 10);
  // An integer stands for a name, and a name has no slash here.
  if (*end == 0) snprintf(name, sizeof name, "shm-node-%08lx", id);
  else snprintf(name, sizeof name, "%s", arguments[2] + (arguments[2][0] == '/'));

  BOOL creates = strcmp(arguments[1], "create") == 0;
  DWORD size = COUNT * sizeof(double);
  HANDLE section = creates ? CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, size, name)
                           : OpenFileMappingA(FILE_MAP_READ | FILE_MAP_WRITE, FALSE, name);
  if (section == NULL) return failed(creates ? "CreateFileMapping" : "OpenFileMapping");
  double *numbers = MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, size);
  if (numbers == NULL) return failed("MapViewOfFile");

  if (creates) {
    for (int i = 0; i < COUNT; i++) numbers[i] = 1.5 + i;
    puts("created");
    fflush(stdout);
    while (getchar() != EOF) continue; // the section goes with its last handle
  } else {
    for (int i = 0; i < COUNT; i++) {
      printf(i == 0 ? "%g" : " %g", numbers[i]);
      numbers[i] *= 2;
    }
    puts("");
  }
  UnmapViewOfFile(numbers);
  CloseHandle(section);
  return 0;
}
