/** A disk's thread: opens the image, does what the guest asks of it, one request after the other. */
import { workerData } from 'node:worker_threads';
import type { ThreadSetup } from '../io/io-thread.js';
import { serveThread } from '../io/serve.js';
import { WordRing } from '../io/word-ring.js';
import type { DiskImage } from './image.js';
import { openImage } from './open.js';
import { type DecodedRequest, type DiskReady, type DiskTask, decodeRequest } from './protocol.js';
import { DiskRefusal, StorageError } from './storage.js';
import { Vigil } from './vigil.js';

const FAILED = [0];
const DONE = [1];

function carryOut(image: DiskImage, request: DecodedRequest, views: readonly Uint8Array[]): void {
  const { operation, offset, length } = request;
  if (operation === 'read') image.read(offset, views);
  else if (operation === 'write') image.write(offset, views);
  else if (operation === 'zero') image.zero(offset, length, request.unmap);
  else if (operation === 'discard') image.discard(offset, length);
  else if (operation === 'write-out') image.beginFlush?.(offset, length);
  if (operation === 'flush' || request.durable) image.flush();
}

/** To look into, not to take from. */
const requests = new WordRing((workerData as ThreadSetup).requests);

const pause = new Int32Array(new SharedArrayBuffer(4));

serveThread<DiskTask, DiskReady>(
  (task) => {
    const image = openImage(task.path, task.format, task.readonly);
    const views: Uint8Array[] = [];
    const vigil = new Vigil(requests);
    return {
      ready: {
        size: image.size,
        physicalBlock: image.physicalBlock,
        discardUnit: task.readonly ? 0 : image.discardUnit,
        plainFile: image.plainFile,
      },
      cancelled: FAILED,
      serve: (words, count, ram) => {
        views.length = 0;
        const request = decodeRequest(words, count, (gpa, length) => ram.collect(gpa, length, views));
        if (request.operation === 'flush' && task.slowFlush > 0) Atomics.wait(pause, 0, 0, task.slowFlush);
        try {
          carryOut(image, request, views);
        } catch (error) {
          if (!(error instanceof StorageError)) throw error;
          return FAILED;
        }
        return DONE;
      },
      idle: () => vigil.keep(),
      close: () => image.close(),
    };
  },
  (error) => error instanceof DiskRefusal,
);
