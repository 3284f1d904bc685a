/** The thread of a shared folder: takes messages out of guest RAM, one after the other, and puts the answers there. */
import { NinepServer } from '../../../devices/virtio/9p/server.js';
import { FileError, fileSentence } from '../files.js';
import type { ThreadRam } from '../io/ram.js';
import { serveThread } from '../io/serve.js';
import { Folder, type Node } from './folder.js';
import { ANSWER, FIXED_WORDS, PIECE_WORDS, type ShareTask } from './share-backend.js';

const TWO_32 = 2 ** 32;

function openFolder({ path }: ShareTask): Folder {
  if (process.platform !== 'linux')
    throw new FileError('A folder can be shared with a guest on Linux only; leave --share away.');
  try {
    return new Folder(path);
  } catch (error) {
    throw fileSentence(error, `The shared folder "${path}"`, 'read');
  }
}

serveThread<ShareTask, true>(
  (task) => {
    const folder = openFolder(task);
    const server = new NinepServer<Node, number>(folder, { readonly: task.readonly });
    const views: Uint8Array[] = [];
    /** The views of the pieces whose words begin at `at`. */
    const collect = (words: Int32Array, at: number, end: number, ram: ThreadRam): number => {
      views.length = 0;
      let length = 0;
      for (let i = at; i < end; i += PIECE_WORDS) {
        const size = words[i + 2] >>> 0;
        ram.collect((words[i] >>> 0) + (words[i + 1] >>> 0) * TWO_32, size, views);
        length += size;
      }
      return length;
    };
    const answer = (words: Int32Array, count: number, ram: ThreadRam): number => {
      const split = FIXED_WORDS + words[2] * PIECE_WORDS;
      // Copied first: the guest may change its message while we look at it.
      const message = new Uint8Array(collect(words, FIXED_WORDS, split, ram));
      let at = 0;
      for (const view of views) {
        message.set(view, at);
        at += view.length;
      }
      const reply = server.serve(message, collect(words, split, count, ram));
      if (reply === undefined) return 0;
      let from = 0;
      for (const view of views) {
        const piece = reply.subarray(from, from + view.length);
        view.set(piece);
        from += piece.length;
      }
      return reply.length;
    };
    return {
      ready: true,
      cancelled: [0],
      serve: (words, count, ram) => {
        if (words[1] === ANSWER) return [answer(words, count, ram)];
        server.reset();
        return [0];
      },
      close: () => {
        server.reset();
        folder.end();
      },
    };
  },
  (error) => error instanceof FileError,
);
