/** Refusal of a snapshot that this version of a device doesn't understand. */
export class UnknownStateVersion extends Error {
  constructor(device: string, found: unknown, known: number) {
    super(
      `The snapshot's ${device} state has version ${String(found)}; this version of Typevisor reads version ${known}.`,
    );
    this.name = 'UnknownStateVersion';
  }
}

/** @throws UnknownStateVersion where `state` isn't of version `known`. */
export function requireVersion(device: string, state: { version: number }, known: number): void {
  if (state.version !== known) throw new UnknownStateVersion(device, state.version, known);
}
