// What bench/kvm.mjs compares with: the same guests on the same KVM, driven by C as directly as it goes. The guest's code
// comes on standard input. Both print the median over batches, in ns per write of a port:
//   kvm exits N      a guest that does nothing but write a port
//   kvm doorbells N  one that writes it after each round trip: it rings an ioeventfd and spins until the interrupt has come,
//                    which a thread that is blocked in read() on the eventfd sends by an irqfd
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM (2 << 20)
#define DOORBELL 0x10000000
#define VECTOR 0x50

static int kvm, vm, vcpu, bell, irq;
static uint8_t *ram;
static struct kvm_run *run;

static void need(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double d = *(const double *)a - *(const double *)b;
  return d < 0 ? -1 : d > 0;
}

static void report(double *samples, int count) {
  qsort(samples, count, sizeof *samples, ascending);
  printf("%.0f\n", samples[count / 2]);
}

static void open_machine(int irqchip) {
  need((kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC)) >= 0, "open /dev/kvm");
  need((vm = ioctl(kvm, KVM_CREATE_VM, 0)) >= 0, "KVM_CREATE_VM");
  uint64_t identity = 0xfffbc000;
  need(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) == 0, "KVM_SET_IDENTITY_MAP_ADDR");
  need(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) == 0, "KVM_SET_TSS_ADDR");
  ram = mmap(0, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  need(ram != MAP_FAILED, "mmap");
  struct kvm_userspace_memory_region region = {0, 0, 0, RAM, (uintptr_t)ram};
  need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
  if (irqchip) need(ioctl(vm, KVM_CREATE_IRQCHIP, 0) == 0, "KVM_CREATE_IRQCHIP");
  need((vcpu = ioctl(vm, KVM_CREATE_VCPU, 0)) >= 0, "KVM_CREATE_VCPU");
  static struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 entries[512]; } cpuid;
  cpuid.head.nent = 512;
  need(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0, "KVM_GET_SUPPORTED_CPUID");
  need(ioctl(vcpu, KVM_SET_CPUID2, &cpuid) == 0, "KVM_SET_CPUID2");
  int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  run = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  need(run != MAP_FAILED, "mmap of the vCPU");
  need(fread(ram + 0x1000, 1, 0x1000, stdin) > 0, "the guest's code");
  /* Protected mode, flat: what the .mjs sets up too. */
  struct kvm_sregs s;
  need(ioctl(vcpu, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
  struct kvm_segment code = {.limit = ~0u, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
  struct kvm_segment data = code;
  data.selector = 16;
  data.type = 3;
  s.cs = code;
  s.ds = s.es = s.ss = s.fs = s.gs = data;
  s.gdt.base = 0x3000;
  s.gdt.limit = 0x17;
  s.idt.base = 0x4000;
  s.idt.limit = 0x7ff;
  s.cr0 = 0x11;
  need(ioctl(vcpu, KVM_SET_SREGS, &s) == 0, "KVM_SET_SREGS");
  struct kvm_regs r = {.rip = 0x1000, .rsp = 0x8000, .rflags = 2};
  need(ioctl(vcpu, KVM_SET_REGS, &r) == 0, "KVM_SET_REGS");
  uint64_t *gdt = (uint64_t *)(ram + 0x3000);
  gdt[1] = 0x00cf9b000000ffffull;
  gdt[2] = 0x00cf93000000ffffull;
  *(uint64_t *)(ram + 0x4000 + VECTOR * 8) = 0x00008e0000080000ull | 0x1800; /* handler at 1800h */
}

/* The median over batches of 500 writes of a port, in ns per write. */
static void rounds(int count) {
  int batches = count / 500;
  double *samples = malloc(batches * sizeof *samples);
  for (int b = 0; b < batches; b++) {
    double from = now();
    for (int i = 0; i < 500; i++) {
      need(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
      need(run->exit_reason == KVM_EXIT_IO, "an exit for a port");
    }
    samples[b] = (now() - from) / 500;
  }
  report(samples, batches);
}

static void exits(int count) {
  open_machine(0);
  rounds(count);
}

static void *serve(void *unused) {
  uint64_t word, one = 1;
  (void)unused;
  while (read(bell, &word, 8) == 8) need(write(irq, &one, 8) == 8, "write to the irqfd");
  return 0;
}

static void doorbells(int count) {
  open_machine(1);
  need((bell = eventfd(0, EFD_CLOEXEC)) >= 0, "eventfd");
  need((irq = eventfd(0, EFD_CLOEXEC)) >= 0, "eventfd");
  struct kvm_ioeventfd ring = {.datamatch = 1, .addr = DOORBELL, .len = 2, .fd = bell, .flags = KVM_IOEVENTFD_FLAG_DATAMATCH};
  need(ioctl(vm, KVM_IOEVENTFD, &ring) == 0, "KVM_IOEVENTFD");
  struct { struct kvm_irq_routing head; struct kvm_irq_routing_entry entry; } routes = {{1, 0}, {.gsi = 24, .type = KVM_IRQ_ROUTING_MSI}};
  routes.entry.u.msi.address_lo = 0xfee00000;
  routes.entry.u.msi.data = VECTOR;
  need(ioctl(vm, KVM_SET_GSI_ROUTING, &routes) == 0, "KVM_SET_GSI_ROUTING");
  struct kvm_irqfd wire = {.fd = irq, .gsi = 24};
  need(ioctl(vm, KVM_IRQFD, &wire) == 0, "KVM_IRQFD");
  struct kvm_lapic_state lapic;
  need(ioctl(vcpu, KVM_GET_LAPIC, &lapic) == 0, "KVM_GET_LAPIC");
  lapic.regs[0xf0] = (char)0xff;
  lapic.regs[0xf1] = 1;
  need(ioctl(vcpu, KVM_SET_LAPIC, &lapic) == 0, "KVM_SET_LAPIC");
  pthread_t thread;
  need(pthread_create(&thread, 0, serve, 0) == 0, "pthread_create");
  /* The guest writes a port after each round trip. */
  rounds(count);
}

int main(int argc, char **argv) {
  if (argc == 3 && !strcmp(argv[1], "exits")) exits(atoi(argv[2]));
  else if (argc == 3 && !strcmp(argv[1], "doorbells")) doorbells(atoi(argv[2]));
  else return fprintf(stderr, "usage: kvm exits|doorbells N < code\n"), 2;
  return 0;
}
