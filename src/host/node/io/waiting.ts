/**
 * Who waits for which answer of a thread: each request has an identifier of its own until the thread has
 * answered it, also where nobody waits any more.
 */

export class Waiting<Done> {
  /** By identifier. */
  private readonly waiting: (Done | undefined)[] = [];
  private readonly free: number[] = [];

  /** @returns an identifier for a request whose answer `done` is to hear; undefined: nobody is */
  add(done: Done | undefined): number {
    const id = this.free.pop() ?? this.waiting.length;
    this.waiting[id] = done;
    return id;
  }

  /** The thread has answered. @returns who is to be told */
  take(id: number): Done | undefined {
    const done = this.waiting[id];
    this.waiting[id] = undefined;
    this.free.push(id);
    return done;
  }

  /** Nobody is told of what is outstanding now. Its identifiers stay taken until the thread has answered. */
  forget(): void {
    this.waiting.fill(undefined);
  }
}
