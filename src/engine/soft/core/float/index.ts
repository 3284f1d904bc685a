// AssemblyScript. Floating point of the software CPU: what instruction authors call. Everything works on the state in
// layout.ts (MXCSR, FPR, FPU_*) and is exact: result bits, exception flags, masked and unmasked responses. Operands and
// results are bits: float32 as u32, float64 as u64, floatx80 as significand u64 and sign/exponent u32.
//
// ---- SSE, one lane (sse.ts) ----------------------------------------------------------------------------------------
// They read MXCSR and OR what they raise into FLOAT_FLAGS (env.ts). EVERY instruction that called one ends with
// sse_commit, after computing and before writing its destination:
//
//   sse_commit(): i32                          merges FLOAT_FLAGS into MXCSR, clears it. 0 (NEXT): write the destination.
//                                              1 (FAULT): #XM (19), or #UD (6) while CR4.OSXMMEXCPT is 0, is in
//                                              FAULT_VECTOR: leave the destination alone and return FAULT.
//   sse_{add,sub,mul,div,min,max}_{f32,f64}(a, b)
//   sse_sqrt_{f32,f64}(a)
//   sse_{f32,f64}(op, a, b)                    the same by number: 0 ADD 1 MUL 2 SQRT(b) 4 SUB 5 MIN 6 DIV 7 MAX, which
//                                              are the low bits of opcodes 0F 58 to 5F (SQRT apart, 0F 51)
//   sse_cmp_{f32,f64}(a, b, predicate)         all ones or 0; predicate 0 to 31 (mask it with 7 for the SSE forms)
//   sse_{comi,ucomi}_{f32,f64}(a, b): u32      EFLAGS bits ZF 40h, PF 4, CF 1; OF SF AF become 0
//   sse_f64_to_f32(a), sse_f32_to_f64(a)       CVTSD2SS, CVTSS2SD
//   sse_int_to_{f32,f64}(v: i64)               CVTSI2SS/SD; 32-bit integers sign-extended
//   sse_{f32,f64}_to_{i32,i64}(a, truncate)    CVTSS2SI ... (truncate 0), CVTTSS2SI ... (1)
//   sse_round_{f32,f64}(a, imm)                ROUNDSS/SD, imm as in the instruction
//   sse_rcp_f32(a), sse_rsqrt_f32(a)           raise nothing, need no commit
//
// ---- SSE, vectors (ssepacked.ts) -----------------------------------------------------------------------------------
// dst, a, b: addresses in linear memory of 16 bytes (XMM + 16 n, SCRATCH, RAM); dst may be a or b; no alignment needed.
// They commit themselves: return 0 with dst written, or 1 (FAULT) with dst as it was.
//
//   sse_{ps,pd}(op, dst, a, b)                 op as above (SQRT: of b)
//   sse_horizontal_{ps,pd}(op, dst, a, b)      HADD (op 0), HSUB (op 4)
//   sse_addsub_{ps,pd}(dst, a, b)
//   sse_cmp_{ps,pd}(dst, a, b, predicate)
//   sse_round_{ps,pd}(dst, b, imm)
//   sse_dpps(dst, a, b, imm), sse_dppd(dst, a, b, imm)
//   sse_rcp_ps(dst, b), sse_rsqrt_ps(dst, b)   return nothing
//   sse_cvt_ps2dq(dst, b, truncate, lanes)     lanes 4; 2 for CVT(T)PS2PI (writes 8 bytes)
//   sse_cvt_dq2ps(dst, b, lanes)               lanes 4; 2 for CVTPI2PS (writes 8 bytes)
//   sse_cvt_ps2pd(dst, b)                      reads 8 bytes
//   sse_cvt_pd2ps(dst, b)                      upper half of dst 0
//   sse_cvt_pd2dq(dst, b, truncate, bytes)     bytes 16 (upper half 0), or 8 for CVT(T)PD2PI
//   sse_cvt_dq2pd(dst, b)                      reads 8 bytes; also CVTPI2PD
//
// ---- x87 -----------------------------------------------------------------------------------------------------------
// The caller has checked CR0.EM/TS (#NM, #UD), called x87_check_pending (all but the FN* instructions), and stores
// FPU_FIP, FPU_FCS, FPU_FOP, FPU_FDP, FPU_FDS itself (non-control instructions). Nothing below faults by itself: an
// unmasked exception sets ES and is taken by the next x87_check_pending. Registers are named as ST(i). Stack faults, C1,
// precision and rounding control, pops are all dealt with here.
//
//   x87_check_pending(): i32                   0 none; 1 (FAULT): #MF in FAULT_VECTOR; 2: CR0.NE = 0, raise FERR# (IRQ 13)
//   x87_arith(op, dst, src, pop)               ST(dst) = ST(dst) op ST(src). op: 0 ADD 1 MUL 4 SUB 5 SUBR 6 DIV 7 DIVR, the
//                                              reg field of D8; for DC and DE register forms swap 4/5 and 6/7: their
//                                              /4 is FSUBR (5), /5 FSUB (4), /6 FDIVR (7), /7 FDIV (6)
//   x87_arith_m32(op, bits), x87_arith_m64(op, bits), x87_arith_int(op, v: i32)      ST(0) = ST(0) op memory
//   x87_com(src, quiet, pops)                  FCOM, FUCOM (quiet 1), pops 0 to 2
//   x87_com_m32(bits, pops), x87_com_m64(bits, pops), x87_com_int(v: i32, pops)
//   x87_comi(src, quiet, pops): i32            EFLAGS bits ZF PF CF to be written; OF SF AF become 0
//   x87_tst(), x87_xam(), x87_chs(), x87_abs(), x87_sqrt(), x87_rndint(), x87_xtract(), x87_scale()
//   x87_prem(nearest)                          FPREM 0, FPREM1 1
//   x87_sin(), x87_cos(), x87_sincos(), x87_ptan(), x87_patan(), x87_f2xm1(), x87_yl2x(), x87_yl2xp1()
//   x87_fld_m32(bits), x87_fld_m64(bits), x87_fld_m80(significand: u64, se: u32), x87_fld(i), x87_fild(v: i64)
//   x87_fbld(lo: u64, hi: u32)                 first 8 bytes, last 2
//   x87_fldconst(n)                            FLD1 to FLDZ: opcode D9 E8+n
//   x87_store(kind): i32                       first half of a store to memory: the bytes are at FLOAT_OUT; nothing has
//                                              changed yet. 1: write them (the write may fault: then just stop); 0: don't.
//   x87_store_done(pop)                        second half, always needed unless the write faulted.
//                                              kind: 0 m32 1 m64 2 m80 3 i16 4 i32 5 i64 6-8 FISTTP i16 i32 i64 9 BCD
//   x87_fst(i, pop)                            FST/FSTP ST(i)
//   x87_fxch(i), x87_fcmov(condition, i), x87_ffree(i, pop), x87_fincstp(), x87_fdecstp()
//   x87_status(), x87_control(): u32           FNSTSW, FNSTCW;  x87_tag_word(): u32 with two bits a register
//   x87_fldcw(cw), x87_fninit(), x87_fnclex(), x87_emms()
//   x87_enter_mmx()                            what any MMX instruction but EMMS does first
//   x87_write_mmx(n, v: u64)                   writes MMn (sets the exponent too); reading: load<u64>(FPR + 16 n)
//
// Images; p is an address in linear memory, the caller has dealt with paging. wide: 32-bit operand size (also in 64-bit
// mode); protected: 0 in real and v8086 mode.
//   x87_env_size(wide): 14 or 28 bytes
//   x87_fnstenv(p, wide, protected), x87_fldenv(p, wide, protected)
//   x87_fnsave(p, wide, protected), x87_frstor(p, wide, protected)        94 or 108 bytes
//   x87_fxsave(p, rexW, xmms)                  512 bytes; xmms: 16 in 64-bit mode, else 8, 0 with EFER.FFXSR at CPL 0
//   x87_fxrstor(p, rexW, xmms): i32            1: reserved bits of MXCSR (raise #GP(0)), nothing changed

export * from './fma';
export * from './pointers';
export * from './sse';
export * from './ssepacked';
export * from './x87arith';
export * from './x87mem';
export * from './x87state';
export * from './x87trans';
