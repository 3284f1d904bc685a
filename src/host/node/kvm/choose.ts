/** Whether this host's KVM can run guests, and the engine on it. */
import { accessSync, constants, existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { MachineConfig } from '../../../config/config.js';
import { KvmEngine } from '../../../engine/kvm/engine.js';
import { selfTest } from '../../../engine/kvm/selftest.js';
import { KvmUnfitError } from '../../../engine/kvm/vm.js';
import { SoftStepper } from '../../../engine/soft/stepper.js';
import { type ChosenEngine, EngineError } from '../chosen.js';
import { NoFfiError, SystemCallError } from '../ffi/libc.js';
import { loadStepperModules } from '../soft-modules.js';
import { KVM_DEVICE, NodeKvmHost } from './host.js';

/** How things stand with KVM here. */
export type KvmVerdict =
  | { readonly state: 'absent' | 'forbidden' | 'uncallable'; readonly text: string }
  /** It can be opened; `failures` of the self-test, none: it runs guests. */
  | { readonly state: 'tested'; readonly failures: readonly string[] };

/** Tries this host's KVM. @param thorough whether to go on after the first failure: `auto` has seen enough then */
export function examineKvm(thorough: boolean): KvmVerdict {
  if (!existsSync(KVM_DEVICE)) return { state: 'absent', text: `there is no ${KVM_DEVICE}` };
  try {
    accessSync(KVM_DEVICE, constants.R_OK | constants.W_OK);
  } catch {
    return { state: 'forbidden', text: `you may not open ${KVM_DEVICE}` };
  }
  let host: NodeKvmHost;
  try {
    host = new NodeKvmHost({ inline: true });
  } catch (error) {
    if (error instanceof NoFfiError || error instanceof SystemCallError)
      return { state: 'uncallable', text: error.message };
    throw error;
  }
  try {
    return { state: 'tested', failures: selfTest(host, !thorough).failures };
  } finally {
    host.close();
  }
}

/** Why guests can't run on KVM here, as a clause; undefined: they can. */
export function kvmFailure(): string | undefined {
  const verdict = examineKvm(false);
  if (verdict.state !== 'tested') return verdict.text;
  return verdict.failures.length === 0 ? undefined : `this host's KVM fails the self-test: ${verdict.failures[0]}`;
}

/** The KVM engine. @throws EngineError where it can't be had */
export function chooseKvm({ cpus, pins, irqchip }: MachineConfig, reason: string): ChosenEngine {
  const missing = pins.find(
    ({ cpu }) => cpu >= availableParallelism() && !existsSync(`/sys/devices/system/cpu/cpu${cpu}`),
  );
  if (missing !== undefined)
    throw new EngineError(`This host has no processor ${missing.cpu} to pin vCPU ${missing.vcpu} to.`);
  const host = openHost(pins);
  // Threads start while the caller reads the kernel.
  host.startThreads(cpus);
  return {
    name: 'kvm',
    reason,
    create: async (config) => {
      try {
        const engine = new KvmEngine({ ...config, irqchip }, host);
        const { sink, tscHz, arch } = config;
        engine.helper = () => {
          const { memory } = engine;
          return new SoftStepper(loadStepperModules(), { memory, cpus, sink, tscHz, ...(arch && { arch }) });
        };
        return engine;
      } catch (error) {
        if (error instanceof KvmUnfitError) throw new EngineError(`${error.message} Give --engine soft.`);
        throw error;
      }
    },
    prepare: async () => void loadStepperModules(),
    close: async () => host.close(),
  };
}

function openHost(pins: MachineConfig['pins']): NodeKvmHost {
  const pinning = (index: number) => pins.filter(({ vcpu }) => vcpu === index).map(({ cpu }) => cpu);
  try {
    return new NodeKvmHost({ pinning });
  } catch (error) {
    if (error instanceof NoFfiError) throw new EngineError(`${error.message} Give --engine soft.`);
    if (error instanceof SystemCallError)
      throw new EngineError(`KVM can't be used: ${error.message}; give --engine soft.`);
    throw error;
  }
}
