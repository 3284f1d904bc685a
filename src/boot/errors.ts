/** What is wrong with a kernel, an initrd or a boot request, for programs; the message is the sentence for people. */
export type BootErrorCode =
  | 'not-a-kernel'
  | 'truncated'
  | 'bad-elf'
  | 'wrong-machine'
  | 'bad-bzimage'
  | 'unsupported-compression'
  | 'bad-payload'
  | 'no-entry'
  | 'outside-ram'
  | 'overlap'
  | 'initrd-too-large'
  | 'bad-command-line'
  | 'bad-memory-map'
  | 'bad-cpio';

/** A boot refused. `message` is one sentence that says what is wrong and, where one can, what to do. */
export class BootError extends Error {
  readonly code: BootErrorCode;

  constructor(code: BootErrorCode, message: string) {
    super(message);
    this.name = 'BootError';
    this.code = code;
  }
}

/** A count of bytes for a message: `5.4 MiB`, `812 KiB`, `17 bytes`. */
export function formatBytes(bytes: number): string {
  if (bytes >= 1 << 20) return `${(bytes / (1 << 20)).toFixed(bytes % (1 << 20) === 0 ? 0 : 1)} MiB`;
  if (bytes >= 1 << 10) return `${(bytes / (1 << 10)).toFixed(bytes % (1 << 10) === 0 ? 0 : 1)} KiB`;
  return `${bytes} bytes`;
}

/** An address for a message. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
