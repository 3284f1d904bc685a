/**
 * Looks a thousand times a second at what this thread is doing, with V8's sampling profiler: the engine runs the same code
 * meanwhile, for the samples are taken by a signal from another thread; that takes about 5 % of the processor time. `--stats`
 * uses it.
 */
import type { Session } from 'node:inspector';
import { addSamples, attribute, NO_SAMPLES, type ProfileNode, type Samples } from '../../engine/soft/profile.js';

/** Time between two samples in µs. */
const INTERVAL = 1000;
/** A profile keeps every sample; so that a guest may run for weeks, it is put into the sums this often, in ms. */
const TAKE_EVERY = 20_000;

export class Sampler {
  private readonly session: Session;
  private readonly timer: NodeJS.Timeout;
  /** What was found where; complete after `stop`. */
  samples: Samples = NO_SAMPLES;

  private constructor(session: Session) {
    this.session = session;
    session.connect();
    session.post('Profiler.enable');
    session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
    session.post('Profiler.start');
    this.timer = setInterval(() => {
      this.take();
      session.post('Profiler.start');
    }, TAKE_EVERY).unref();
  }

  /** Begins to sample this thread. Undefined where Node has been built without its inspector. */
  static async start(): Promise<Sampler | undefined> {
    const inspector = await import('node:inspector').catch(() => undefined);
    return inspector && new Sampler(new inspector.Session());
  }

  /** Ends it; `samples` is complete then. */
  stop(): void {
    clearInterval(this.timer);
    this.take();
    this.session.disconnect();
  }

  private take(): void {
    // In the same thread the answer comes before `post` returns.
    this.session.post('Profiler.stop', (error, result) => {
      if (error === null) this.samples = addSamples(this.samples, attribute(result.profile.nodes as ProfileNode[]));
    });
  }
}
