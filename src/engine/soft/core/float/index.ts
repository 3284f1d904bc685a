export * from './sse';
export * from './x87arith';
export * from './x87mem';
export * from './x87state';
export * from './x87trans';
