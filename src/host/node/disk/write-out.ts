/**
 * Writing out early. A guest that flushes after every few requests (a journal, a database) waits for the disk each time;
 * while it is still busy asking for the flush, the system may write already what the flush will be about. Where flushes are
 * rare nothing of this is done: the system knows better when to write.
 */

/** Writes between two flushes, and bytes in one of them. */
const FEW = 4;
const SMALL = 65_536;

export class WriteOut {
  private writes = 0;
  private flushesOften = false;

  /** @returns whether what has been written is to be written out now */
  wrote(bytes: number): boolean {
    this.writes++;
    return this.flushesOften && this.writes <= FEW && bytes <= SMALL;
  }

  flushed(): void {
    this.flushesOften = this.writes > 0 && this.writes <= FEW;
    this.writes = 0;
  }
}
