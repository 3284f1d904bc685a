/** What keeps a guest from being fetched, for programs; the message is the sentence for people. */
export type GuestErrorCode =
  | 'no-apt'
  | 'no-network'
  | 'no-package'
  | 'untrusted'
  | 'package-manager'
  | 'bad-package'
  | 'no-space'
  | 'cache-not-writable'
  | 'aborted';

export class GuestError extends Error {
  readonly code: GuestErrorCode;

  constructor(code: GuestErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GuestError';
    this.code = code;
  }
}

/** The other way to a guest, for the end of a message. */
export const GIVE_FILES = "give the guest's files instead: --kernel FILE --initrd FILE";
