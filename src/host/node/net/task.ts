/** What a network's thread is to do, and what it says: messages, for everything that is not a packet. */
import type { ForwardConfig } from '../../../config/schema.js';
import type { ChannelHandles } from './channel.js';

export type NetTask =
  | { readonly kind: 'user'; readonly hostLoopback: boolean; readonly forwards: readonly ForwardConfig[] }
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'vsock'; readonly path: string; readonly cid: number };

export interface ThreadSetup {
  readonly channel: ChannelHandles;
  readonly task: NetTask;
}

/** From the thread. */
export type NetNews =
  | { readonly type: 'ready' }
  /** It can't be opened: one sentence. */
  | { readonly type: 'failed'; readonly message: string }
  /** Worth knowing: one sentence. */
  | { readonly type: 'note'; readonly message: string };

/** To the thread: give everything back, then end. */
export const CLOSE = 'close';
