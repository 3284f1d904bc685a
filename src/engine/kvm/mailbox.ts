/**
 * Between the machine's thread and a vCPU's: a few words of shared memory. A vCPU is either in the guest (RUN: its thread
 * is in KVM_RUN or about to be) or out of it (OUT: its thread waits, and the machine's may look at the vCPU and change it).
 * The page that the vCPU shares with the kernel says why it came out; it is the machine's to read while the state is OUT.
 * Who changes the state wakes the other: the machine by Atomics.notify, the vCPU's thread by ringing the bell (an eventfd).
 */
export const STATE = 0;
/** Linux's number of the thread, once it runs. */
export const TID = 1;
/** Of the last KVM_RUN: 0, or errno. */
export const RESULT = 2;
/** Exits that the thread has completed by itself. */
export const OWN_EXITS = 3;
/** The vCPU that the thread runs, as a file descriptor. */
export const FD = 4;
/** Address (low, high) and length of its kvm_run; the turn changes with each new vCPU. */
export const RUN_LOW = 5;
export const RUN_HIGH = 6;
export const RUN_LENGTH = 7;
export const TURN = 8;
export const WORDS = 16;

export const STATE_OUT = 0;
export const STATE_RUN = 1;
/** The thread has to end; it says so with GONE. */
export const STATE_QUIT = 2;
export const STATE_GONE = 3;

export const MAILBOX_BYTES = WORDS * 4;
