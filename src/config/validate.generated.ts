// @ts-nocheck
// Generated from schema.ts by scripts/generate-validator.mjs. Do not edit.
const schema11 = {"type":"object","required":["memory","cpus","engine","arch","pins","deterministic","reboot","strictIo","strictMsr","strictVirtio","exitOnHlt","detailedExits","virtioConsole","disks","nets","rng","balloon","shares","deviceOrder"],"properties":{"memory":{"type":"integer","minimum":2097152,"maximum":548682072064,"multipleOf":1048576},"cpus":{"type":"integer","minimum":1,"maximum":16},"engine":{"enum":["auto","kvm","soft"]},"arch":{"enum":["amd64","i386"]},"pins":{"type":"array","items":{"type":"object","required":["vcpu","cpu"],"properties":{"vcpu":{"type":"integer","minimum":0,"maximum":15},"cpu":{"type":"integer","minimum":0,"maximum":1023}},"additionalProperties":false}},"deterministic":{"type":"boolean"},"reboot":{"type":"boolean"},"timeout":{"type":"number","exclusiveMinimum":0},"strictIo":{"type":"boolean"},"strictMsr":{"type":"boolean"},"strictVirtio":{"type":"boolean"},"exitOnHlt":{"type":"boolean"},"detailedExits":{"type":"boolean"},"virtioConsole":{"type":"boolean"},"disks":{"type":"array","items":{"type":"object","required":["path","format","readonly"],"properties":{"path":{"type":"string"},"format":{"enum":["auto","raw","qcow2"]},"readonly":{"type":"boolean"}},"additionalProperties":false}},"nets":{"type":"array","items":{"type":"object","required":["kind"],"properties":{"kind":{"enum":["user","tap","bridge","socket"]},"mac":{"type":"string","pattern":"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},"hostLoopback":{"type":"boolean"},"forwards":{"type":"array","items":{"type":"object","required":["protocol","hostAddress","hostPort","guestPort"],"properties":{"protocol":{"enum":["tcp","udp"]},"hostAddress":{"type":"string"},"hostPort":{"type":"integer","minimum":0,"maximum":65535},"guestAddress":{"type":"string"},"guestPort":{"type":"integer","minimum":1,"maximum":65535}},"additionalProperties":false}},"name":{"type":"string"},"address":{"type":"string"},"prefix":{"type":"integer","minimum":1,"maximum":32},"path":{"type":"string"}},"additionalProperties":false}},"rng":{"type":"boolean"},"balloon":{"type":"boolean"},"shares":{"type":"array","items":{"type":"object","required":["path","tag","readonly"],"properties":{"path":{"type":"string"},"tag":{"type":"string"},"readonly":{"type":"boolean"}},"additionalProperties":false}},"vsock":{"type":"object","required":["path","cid"],"properties":{"path":{"type":"string"},"cid":{"type":"integer","minimum":3,"maximum":4294967294}},"additionalProperties":false},"deviceOrder":{"type":"array","items":{"enum":["console","disk","net","rng","balloon","share","vsock"]}}},"additionalProperties":false};
const func2 = Object.prototype.hasOwnProperty;
const pattern0 = new RegExp("^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$", "u");

export function validate(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((((((((((((((((((data.memory === undefined) && (missing0 = "memory")) || ((data.cpus === undefined) && (missing0 = "cpus"))) || ((data.engine === undefined) && (missing0 = "engine"))) || ((data.arch === undefined) && (missing0 = "arch"))) || ((data.pins === undefined) && (missing0 = "pins"))) || ((data.deterministic === undefined) && (missing0 = "deterministic"))) || ((data.reboot === undefined) && (missing0 = "reboot"))) || ((data.strictIo === undefined) && (missing0 = "strictIo"))) || ((data.strictMsr === undefined) && (missing0 = "strictMsr"))) || ((data.strictVirtio === undefined) && (missing0 = "strictVirtio"))) || ((data.exitOnHlt === undefined) && (missing0 = "exitOnHlt"))) || ((data.detailedExits === undefined) && (missing0 = "detailedExits"))) || ((data.virtioConsole === undefined) && (missing0 = "virtioConsole"))) || ((data.disks === undefined) && (missing0 = "disks"))) || ((data.nets === undefined) && (missing0 = "nets"))) || ((data.rng === undefined) && (missing0 = "rng"))) || ((data.balloon === undefined) && (missing0 = "balloon"))) || ((data.shares === undefined) && (missing0 = "shares"))) || ((data.deviceOrder === undefined) && (missing0 = "deviceOrder"))){
validate.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0},message:"must have required property '"+missing0+"'",schema:schema11.required,parentSchema:schema11,data}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(func2.call(schema11.properties, key0))){
validate.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0},message:"must NOT have additional properties",schema:false,parentSchema:schema11,data}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.memory !== undefined){
let data0 = data.memory;
const _errs2 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.memory.type,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
if(errors === _errs2){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 548682072064 || isNaN(data0)){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/maximum",keyword:"maximum",params:{comparison: "<=", limit: 548682072064},message:"must be <= 548682072064",schema:548682072064,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
else {
if(data0 < 2097152 || isNaN(data0)){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/minimum",keyword:"minimum",params:{comparison: ">=", limit: 2097152},message:"must be >= 2097152",schema:2097152,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
else {
let res0;
if((1048576 === 0 || (res0 = data0/1048576, res0 !== parseInt(res0)))){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/multipleOf",keyword:"multipleOf",params:{multipleOf: 1048576},message:"must be multiple of 1048576",schema:1048576,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
}
}
}
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.cpus !== undefined){
let data1 = data.cpus;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate.errors = [{instancePath:instancePath+"/cpus",schemaPath:"#/properties/cpus/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.cpus.type,parentSchema:schema11.properties.cpus,data:data1}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 16 || isNaN(data1)){
validate.errors = [{instancePath:instancePath+"/cpus",schemaPath:"#/properties/cpus/maximum",keyword:"maximum",params:{comparison: "<=", limit: 16},message:"must be <= 16",schema:16,parentSchema:schema11.properties.cpus,data:data1}];
return false;
}
else {
if(data1 < 1 || isNaN(data1)){
validate.errors = [{instancePath:instancePath+"/cpus",schemaPath:"#/properties/cpus/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.cpus,data:data1}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.engine !== undefined){
let data2 = data.engine;
const _errs6 = errors;
if(!(((data2 === "auto") || (data2 === "kvm")) || (data2 === "soft"))){
validate.errors = [{instancePath:instancePath+"/engine",schemaPath:"#/properties/engine/enum",keyword:"enum",params:{allowedValues: schema11.properties.engine.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.engine.enum,parentSchema:schema11.properties.engine,data:data2}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.arch !== undefined){
let data3 = data.arch;
const _errs7 = errors;
if(!((data3 === "amd64") || (data3 === "i386"))){
validate.errors = [{instancePath:instancePath+"/arch",schemaPath:"#/properties/arch/enum",keyword:"enum",params:{allowedValues: schema11.properties.arch.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.arch.enum,parentSchema:schema11.properties.arch,data:data3}];
return false;
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.pins !== undefined){
let data4 = data.pins;
const _errs8 = errors;
if(errors === _errs8){
if(Array.isArray(data4)){
var valid1 = true;
const len0 = data4.length;
for(let i0=0; i0<len0; i0++){
let data5 = data4[i0];
const _errs10 = errors;
if(errors === _errs10){
if(data5 && typeof data5 == "object" && !Array.isArray(data5)){
let missing1;
if(((data5.vcpu === undefined) && (missing1 = "vcpu")) || ((data5.cpu === undefined) && (missing1 = "cpu"))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0,schemaPath:"#/properties/pins/items/required",keyword:"required",params:{missingProperty: missing1},message:"must have required property '"+missing1+"'",schema:schema11.properties.pins.items.required,parentSchema:schema11.properties.pins.items,data:data5}];
return false;
}
else {
const _errs12 = errors;
for(const key1 in data5){
if(!((key1 === "vcpu") || (key1 === "cpu"))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0,schemaPath:"#/properties/pins/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key1},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.pins.items,data:data5}];
return false;
break;
}
}
if(_errs12 === errors){
if(data5.vcpu !== undefined){
let data6 = data5.vcpu;
const _errs13 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/vcpu",schemaPath:"#/properties/pins/items/properties/vcpu/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.pins.items.properties.vcpu.type,parentSchema:schema11.properties.pins.items.properties.vcpu,data:data6}];
return false;
}
if(errors === _errs13){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 15 || isNaN(data6)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/vcpu",schemaPath:"#/properties/pins/items/properties/vcpu/maximum",keyword:"maximum",params:{comparison: "<=", limit: 15},message:"must be <= 15",schema:15,parentSchema:schema11.properties.pins.items.properties.vcpu,data:data6}];
return false;
}
else {
if(data6 < 0 || isNaN(data6)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/vcpu",schemaPath:"#/properties/pins/items/properties/vcpu/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.pins.items.properties.vcpu,data:data6}];
return false;
}
}
}
}
var valid2 = _errs13 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data5.cpu !== undefined){
let data7 = data5.cpu;
const _errs15 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/cpu",schemaPath:"#/properties/pins/items/properties/cpu/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.pins.items.properties.cpu.type,parentSchema:schema11.properties.pins.items.properties.cpu,data:data7}];
return false;
}
if(errors === _errs15){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 1023 || isNaN(data7)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/cpu",schemaPath:"#/properties/pins/items/properties/cpu/maximum",keyword:"maximum",params:{comparison: "<=", limit: 1023},message:"must be <= 1023",schema:1023,parentSchema:schema11.properties.pins.items.properties.cpu,data:data7}];
return false;
}
else {
if(data7 < 0 || isNaN(data7)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/cpu",schemaPath:"#/properties/pins/items/properties/cpu/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.pins.items.properties.cpu,data:data7}];
return false;
}
}
}
}
var valid2 = _errs15 === errors;
}
else {
var valid2 = true;
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/pins/" + i0,schemaPath:"#/properties/pins/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.pins.items.type,parentSchema:schema11.properties.pins.items,data:data5}];
return false;
}
}
var valid1 = _errs10 === errors;
if(!valid1){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/pins",schemaPath:"#/properties/pins/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.pins.type,parentSchema:schema11.properties.pins,data:data4}];
return false;
}
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.deterministic !== undefined){
let data8 = data.deterministic;
const _errs17 = errors;
if(typeof data8 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/deterministic",schemaPath:"#/properties/deterministic/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.deterministic.type,parentSchema:schema11.properties.deterministic,data:data8}];
return false;
}
var valid0 = _errs17 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reboot !== undefined){
let data9 = data.reboot;
const _errs19 = errors;
if(typeof data9 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/reboot",schemaPath:"#/properties/reboot/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.reboot.type,parentSchema:schema11.properties.reboot,data:data9}];
return false;
}
var valid0 = _errs19 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.timeout !== undefined){
let data10 = data.timeout;
const _errs21 = errors;
if(errors === _errs21){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 <= 0 || isNaN(data10)){
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/exclusiveMinimum",keyword:"exclusiveMinimum",params:{comparison: ">", limit: 0},message:"must be > 0",schema:0,parentSchema:schema11.properties.timeout,data:data10}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/type",keyword:"type",params:{type: "number"},message:"must be number",schema:schema11.properties.timeout.type,parentSchema:schema11.properties.timeout,data:data10}];
return false;
}
}
var valid0 = _errs21 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictIo !== undefined){
let data11 = data.strictIo;
const _errs23 = errors;
if(typeof data11 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictIo",schemaPath:"#/properties/strictIo/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictIo.type,parentSchema:schema11.properties.strictIo,data:data11}];
return false;
}
var valid0 = _errs23 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictMsr !== undefined){
let data12 = data.strictMsr;
const _errs25 = errors;
if(typeof data12 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictMsr",schemaPath:"#/properties/strictMsr/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictMsr.type,parentSchema:schema11.properties.strictMsr,data:data12}];
return false;
}
var valid0 = _errs25 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictVirtio !== undefined){
let data13 = data.strictVirtio;
const _errs27 = errors;
if(typeof data13 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictVirtio",schemaPath:"#/properties/strictVirtio/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictVirtio.type,parentSchema:schema11.properties.strictVirtio,data:data13}];
return false;
}
var valid0 = _errs27 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.exitOnHlt !== undefined){
let data14 = data.exitOnHlt;
const _errs29 = errors;
if(typeof data14 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/exitOnHlt",schemaPath:"#/properties/exitOnHlt/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.exitOnHlt.type,parentSchema:schema11.properties.exitOnHlt,data:data14}];
return false;
}
var valid0 = _errs29 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detailedExits !== undefined){
let data15 = data.detailedExits;
const _errs31 = errors;
if(typeof data15 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/detailedExits",schemaPath:"#/properties/detailedExits/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.detailedExits.type,parentSchema:schema11.properties.detailedExits,data:data15}];
return false;
}
var valid0 = _errs31 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.virtioConsole !== undefined){
let data16 = data.virtioConsole;
const _errs33 = errors;
if(typeof data16 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/virtioConsole",schemaPath:"#/properties/virtioConsole/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.virtioConsole.type,parentSchema:schema11.properties.virtioConsole,data:data16}];
return false;
}
var valid0 = _errs33 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.disks !== undefined){
let data17 = data.disks;
const _errs35 = errors;
if(errors === _errs35){
if(Array.isArray(data17)){
var valid3 = true;
const len1 = data17.length;
for(let i1=0; i1<len1; i1++){
let data18 = data17[i1];
const _errs37 = errors;
if(errors === _errs37){
if(data18 && typeof data18 == "object" && !Array.isArray(data18)){
let missing2;
if((((data18.path === undefined) && (missing2 = "path")) || ((data18.format === undefined) && (missing2 = "format"))) || ((data18.readonly === undefined) && (missing2 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i1,schemaPath:"#/properties/disks/items/required",keyword:"required",params:{missingProperty: missing2},message:"must have required property '"+missing2+"'",schema:schema11.properties.disks.items.required,parentSchema:schema11.properties.disks.items,data:data18}];
return false;
}
else {
const _errs39 = errors;
for(const key2 in data18){
if(!(((key2 === "path") || (key2 === "format")) || (key2 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i1,schemaPath:"#/properties/disks/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key2},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.disks.items,data:data18}];
return false;
break;
}
}
if(_errs39 === errors){
if(data18.path !== undefined){
let data19 = data18.path;
const _errs40 = errors;
if(typeof data19 !== "string"){
validate.errors = [{instancePath:instancePath+"/disks/" + i1+"/path",schemaPath:"#/properties/disks/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.disks.items.properties.path.type,parentSchema:schema11.properties.disks.items.properties.path,data:data19}];
return false;
}
var valid4 = _errs40 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.format !== undefined){
let data20 = data18.format;
const _errs42 = errors;
if(!(((data20 === "auto") || (data20 === "raw")) || (data20 === "qcow2"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i1+"/format",schemaPath:"#/properties/disks/items/properties/format/enum",keyword:"enum",params:{allowedValues: schema11.properties.disks.items.properties.format.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.disks.items.properties.format.enum,parentSchema:schema11.properties.disks.items.properties.format,data:data20}];
return false;
}
var valid4 = _errs42 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.readonly !== undefined){
let data21 = data18.readonly;
const _errs43 = errors;
if(typeof data21 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/disks/" + i1+"/readonly",schemaPath:"#/properties/disks/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.disks.items.properties.readonly.type,parentSchema:schema11.properties.disks.items.properties.readonly,data:data21}];
return false;
}
var valid4 = _errs43 === errors;
}
else {
var valid4 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks/" + i1,schemaPath:"#/properties/disks/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.disks.items.type,parentSchema:schema11.properties.disks.items,data:data18}];
return false;
}
}
var valid3 = _errs37 === errors;
if(!valid3){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks",schemaPath:"#/properties/disks/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.disks.type,parentSchema:schema11.properties.disks,data:data17}];
return false;
}
}
var valid0 = _errs35 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.nets !== undefined){
let data22 = data.nets;
const _errs45 = errors;
if(errors === _errs45){
if(Array.isArray(data22)){
var valid5 = true;
const len2 = data22.length;
for(let i2=0; i2<len2; i2++){
let data23 = data22[i2];
const _errs47 = errors;
if(errors === _errs47){
if(data23 && typeof data23 == "object" && !Array.isArray(data23)){
let missing3;
if((data23.kind === undefined) && (missing3 = "kind")){
validate.errors = [{instancePath:instancePath+"/nets/" + i2,schemaPath:"#/properties/nets/items/required",keyword:"required",params:{missingProperty: missing3},message:"must have required property '"+missing3+"'",schema:schema11.properties.nets.items.required,parentSchema:schema11.properties.nets.items,data:data23}];
return false;
}
else {
const _errs49 = errors;
for(const key3 in data23){
if(!((((((((key3 === "kind") || (key3 === "mac")) || (key3 === "hostLoopback")) || (key3 === "forwards")) || (key3 === "name")) || (key3 === "address")) || (key3 === "prefix")) || (key3 === "path"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2,schemaPath:"#/properties/nets/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key3},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items,data:data23}];
return false;
break;
}
}
if(_errs49 === errors){
if(data23.kind !== undefined){
let data24 = data23.kind;
const _errs50 = errors;
if(!((((data24 === "user") || (data24 === "tap")) || (data24 === "bridge")) || (data24 === "socket"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/kind",schemaPath:"#/properties/nets/items/properties/kind/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.kind.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.kind.enum,parentSchema:schema11.properties.nets.items.properties.kind,data:data24}];
return false;
}
var valid6 = _errs50 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.mac !== undefined){
let data25 = data23.mac;
const _errs51 = errors;
if(errors === _errs51){
if(typeof data25 === "string"){
if(!pattern0.test(data25)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/mac",schemaPath:"#/properties/nets/items/properties/mac/pattern",keyword:"pattern",params:{pattern: "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},message:"must match pattern \""+"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"+"\"",schema:"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",parentSchema:schema11.properties.nets.items.properties.mac,data:data25}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/mac",schemaPath:"#/properties/nets/items/properties/mac/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.mac.type,parentSchema:schema11.properties.nets.items.properties.mac,data:data25}];
return false;
}
}
var valid6 = _errs51 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.hostLoopback !== undefined){
let data26 = data23.hostLoopback;
const _errs53 = errors;
if(typeof data26 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/hostLoopback",schemaPath:"#/properties/nets/items/properties/hostLoopback/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.nets.items.properties.hostLoopback.type,parentSchema:schema11.properties.nets.items.properties.hostLoopback,data:data26}];
return false;
}
var valid6 = _errs53 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.forwards !== undefined){
let data27 = data23.forwards;
const _errs55 = errors;
if(errors === _errs55){
if(Array.isArray(data27)){
var valid7 = true;
const len3 = data27.length;
for(let i3=0; i3<len3; i3++){
let data28 = data27[i3];
const _errs57 = errors;
if(errors === _errs57){
if(data28 && typeof data28 == "object" && !Array.isArray(data28)){
let missing4;
if(((((data28.protocol === undefined) && (missing4 = "protocol")) || ((data28.hostAddress === undefined) && (missing4 = "hostAddress"))) || ((data28.hostPort === undefined) && (missing4 = "hostPort"))) || ((data28.guestPort === undefined) && (missing4 = "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3,schemaPath:"#/properties/nets/items/properties/forwards/items/required",keyword:"required",params:{missingProperty: missing4},message:"must have required property '"+missing4+"'",schema:schema11.properties.nets.items.properties.forwards.items.required,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data28}];
return false;
}
else {
const _errs59 = errors;
for(const key4 in data28){
if(!(((((key4 === "protocol") || (key4 === "hostAddress")) || (key4 === "hostPort")) || (key4 === "guestAddress")) || (key4 === "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3,schemaPath:"#/properties/nets/items/properties/forwards/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key4},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data28}];
return false;
break;
}
}
if(_errs59 === errors){
if(data28.protocol !== undefined){
let data29 = data28.protocol;
const _errs60 = errors;
if(!((data29 === "tcp") || (data29 === "udp"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/protocol",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/protocol/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.protocol,data:data29}];
return false;
}
var valid8 = _errs60 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data28.hostAddress !== undefined){
let data30 = data28.hostAddress;
const _errs61 = errors;
if(typeof data30 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress,data:data30}];
return false;
}
var valid8 = _errs61 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data28.hostPort !== undefined){
let data31 = data28.hostPort;
const _errs63 = errors;
if(!(((typeof data31 == "number") && (!(data31 % 1) && !isNaN(data31))) && (isFinite(data31)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data31}];
return false;
}
if(errors === _errs63){
if((typeof data31 == "number") && (isFinite(data31))){
if(data31 > 65535 || isNaN(data31)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data31}];
return false;
}
else {
if(data31 < 0 || isNaN(data31)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data31}];
return false;
}
}
}
}
var valid8 = _errs63 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data28.guestAddress !== undefined){
let data32 = data28.guestAddress;
const _errs65 = errors;
if(typeof data32 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress,data:data32}];
return false;
}
var valid8 = _errs65 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data28.guestPort !== undefined){
let data33 = data28.guestPort;
const _errs67 = errors;
if(!(((typeof data33 == "number") && (!(data33 % 1) && !isNaN(data33))) && (isFinite(data33)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data33}];
return false;
}
if(errors === _errs67){
if((typeof data33 == "number") && (isFinite(data33))){
if(data33 > 65535 || isNaN(data33)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data33}];
return false;
}
else {
if(data33 < 1 || isNaN(data33)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data33}];
return false;
}
}
}
}
var valid8 = _errs67 === errors;
}
else {
var valid8 = true;
}
}
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3,schemaPath:"#/properties/nets/items/properties/forwards/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.properties.forwards.items.type,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data28}];
return false;
}
}
var valid7 = _errs57 === errors;
if(!valid7){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards",schemaPath:"#/properties/nets/items/properties/forwards/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.items.properties.forwards.type,parentSchema:schema11.properties.nets.items.properties.forwards,data:data27}];
return false;
}
}
var valid6 = _errs55 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.name !== undefined){
let data34 = data23.name;
const _errs69 = errors;
if(typeof data34 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/name",schemaPath:"#/properties/nets/items/properties/name/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.name.type,parentSchema:schema11.properties.nets.items.properties.name,data:data34}];
return false;
}
var valid6 = _errs69 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.address !== undefined){
let data35 = data23.address;
const _errs71 = errors;
if(typeof data35 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/address",schemaPath:"#/properties/nets/items/properties/address/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.address.type,parentSchema:schema11.properties.nets.items.properties.address,data:data35}];
return false;
}
var valid6 = _errs71 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.prefix !== undefined){
let data36 = data23.prefix;
const _errs73 = errors;
if(!(((typeof data36 == "number") && (!(data36 % 1) && !isNaN(data36))) && (isFinite(data36)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.prefix.type,parentSchema:schema11.properties.nets.items.properties.prefix,data:data36}];
return false;
}
if(errors === _errs73){
if((typeof data36 == "number") && (isFinite(data36))){
if(data36 > 32 || isNaN(data36)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/maximum",keyword:"maximum",params:{comparison: "<=", limit: 32},message:"must be <= 32",schema:32,parentSchema:schema11.properties.nets.items.properties.prefix,data:data36}];
return false;
}
else {
if(data36 < 1 || isNaN(data36)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.prefix,data:data36}];
return false;
}
}
}
}
var valid6 = _errs73 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.path !== undefined){
let data37 = data23.path;
const _errs75 = errors;
if(typeof data37 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/path",schemaPath:"#/properties/nets/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.path.type,parentSchema:schema11.properties.nets.items.properties.path,data:data37}];
return false;
}
var valid6 = _errs75 === errors;
}
else {
var valid6 = true;
}
}
}
}
}
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2,schemaPath:"#/properties/nets/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.type,parentSchema:schema11.properties.nets.items,data:data23}];
return false;
}
}
var valid5 = _errs47 === errors;
if(!valid5){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets",schemaPath:"#/properties/nets/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.type,parentSchema:schema11.properties.nets,data:data22}];
return false;
}
}
var valid0 = _errs45 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.rng !== undefined){
let data38 = data.rng;
const _errs77 = errors;
if(typeof data38 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/rng",schemaPath:"#/properties/rng/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.rng.type,parentSchema:schema11.properties.rng,data:data38}];
return false;
}
var valid0 = _errs77 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.balloon !== undefined){
let data39 = data.balloon;
const _errs79 = errors;
if(typeof data39 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/balloon",schemaPath:"#/properties/balloon/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.balloon.type,parentSchema:schema11.properties.balloon,data:data39}];
return false;
}
var valid0 = _errs79 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.shares !== undefined){
let data40 = data.shares;
const _errs81 = errors;
if(errors === _errs81){
if(Array.isArray(data40)){
var valid9 = true;
const len4 = data40.length;
for(let i4=0; i4<len4; i4++){
let data41 = data40[i4];
const _errs83 = errors;
if(errors === _errs83){
if(data41 && typeof data41 == "object" && !Array.isArray(data41)){
let missing5;
if((((data41.path === undefined) && (missing5 = "path")) || ((data41.tag === undefined) && (missing5 = "tag"))) || ((data41.readonly === undefined) && (missing5 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i4,schemaPath:"#/properties/shares/items/required",keyword:"required",params:{missingProperty: missing5},message:"must have required property '"+missing5+"'",schema:schema11.properties.shares.items.required,parentSchema:schema11.properties.shares.items,data:data41}];
return false;
}
else {
const _errs85 = errors;
for(const key5 in data41){
if(!(((key5 === "path") || (key5 === "tag")) || (key5 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i4,schemaPath:"#/properties/shares/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key5},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.shares.items,data:data41}];
return false;
break;
}
}
if(_errs85 === errors){
if(data41.path !== undefined){
let data42 = data41.path;
const _errs86 = errors;
if(typeof data42 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i4+"/path",schemaPath:"#/properties/shares/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.path.type,parentSchema:schema11.properties.shares.items.properties.path,data:data42}];
return false;
}
var valid10 = _errs86 === errors;
}
else {
var valid10 = true;
}
if(valid10){
if(data41.tag !== undefined){
let data43 = data41.tag;
const _errs88 = errors;
if(typeof data43 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i4+"/tag",schemaPath:"#/properties/shares/items/properties/tag/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.tag.type,parentSchema:schema11.properties.shares.items.properties.tag,data:data43}];
return false;
}
var valid10 = _errs88 === errors;
}
else {
var valid10 = true;
}
if(valid10){
if(data41.readonly !== undefined){
let data44 = data41.readonly;
const _errs90 = errors;
if(typeof data44 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/shares/" + i4+"/readonly",schemaPath:"#/properties/shares/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.shares.items.properties.readonly.type,parentSchema:schema11.properties.shares.items.properties.readonly,data:data44}];
return false;
}
var valid10 = _errs90 === errors;
}
else {
var valid10 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares/" + i4,schemaPath:"#/properties/shares/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.shares.items.type,parentSchema:schema11.properties.shares.items,data:data41}];
return false;
}
}
var valid9 = _errs83 === errors;
if(!valid9){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares",schemaPath:"#/properties/shares/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.shares.type,parentSchema:schema11.properties.shares,data:data40}];
return false;
}
}
var valid0 = _errs81 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.vsock !== undefined){
let data45 = data.vsock;
const _errs92 = errors;
if(errors === _errs92){
if(data45 && typeof data45 == "object" && !Array.isArray(data45)){
let missing6;
if(((data45.path === undefined) && (missing6 = "path")) || ((data45.cid === undefined) && (missing6 = "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/required",keyword:"required",params:{missingProperty: missing6},message:"must have required property '"+missing6+"'",schema:schema11.properties.vsock.required,parentSchema:schema11.properties.vsock,data:data45}];
return false;
}
else {
const _errs94 = errors;
for(const key6 in data45){
if(!((key6 === "path") || (key6 === "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key6},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.vsock,data:data45}];
return false;
break;
}
}
if(_errs94 === errors){
if(data45.path !== undefined){
let data46 = data45.path;
const _errs95 = errors;
if(typeof data46 !== "string"){
validate.errors = [{instancePath:instancePath+"/vsock/path",schemaPath:"#/properties/vsock/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.vsock.properties.path.type,parentSchema:schema11.properties.vsock.properties.path,data:data46}];
return false;
}
var valid11 = _errs95 === errors;
}
else {
var valid11 = true;
}
if(valid11){
if(data45.cid !== undefined){
let data47 = data45.cid;
const _errs97 = errors;
if(!(((typeof data47 == "number") && (!(data47 % 1) && !isNaN(data47))) && (isFinite(data47)))){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.vsock.properties.cid.type,parentSchema:schema11.properties.vsock.properties.cid,data:data47}];
return false;
}
if(errors === _errs97){
if((typeof data47 == "number") && (isFinite(data47))){
if(data47 > 4294967294 || isNaN(data47)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 4294967294},message:"must be <= 4294967294",schema:4294967294,parentSchema:schema11.properties.vsock.properties.cid,data:data47}];
return false;
}
else {
if(data47 < 3 || isNaN(data47)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/minimum",keyword:"minimum",params:{comparison: ">=", limit: 3},message:"must be >= 3",schema:3,parentSchema:schema11.properties.vsock.properties.cid,data:data47}];
return false;
}
}
}
}
var valid11 = _errs97 === errors;
}
else {
var valid11 = true;
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.vsock.type,parentSchema:schema11.properties.vsock,data:data45}];
return false;
}
}
var valid0 = _errs92 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.deviceOrder !== undefined){
let data48 = data.deviceOrder;
const _errs99 = errors;
if(errors === _errs99){
if(Array.isArray(data48)){
var valid12 = true;
const len5 = data48.length;
for(let i5=0; i5<len5; i5++){
let data49 = data48[i5];
const _errs101 = errors;
if(!(((((((data49 === "console") || (data49 === "disk")) || (data49 === "net")) || (data49 === "rng")) || (data49 === "balloon")) || (data49 === "share")) || (data49 === "vsock"))){
validate.errors = [{instancePath:instancePath+"/deviceOrder/" + i5,schemaPath:"#/properties/deviceOrder/items/enum",keyword:"enum",params:{allowedValues: schema11.properties.deviceOrder.items.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.deviceOrder.items.enum,parentSchema:schema11.properties.deviceOrder.items,data:data49}];
return false;
}
var valid12 = _errs101 === errors;
if(!valid12){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/deviceOrder",schemaPath:"#/properties/deviceOrder/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.deviceOrder.type,parentSchema:schema11.properties.deviceOrder,data:data48}];
return false;
}
}
var valid0 = _errs99 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.type,parentSchema:schema11,data}];
return false;
}
}
validate.errors = vErrors;
return errors === 0;
}
