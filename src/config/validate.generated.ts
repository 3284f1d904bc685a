// @ts-nocheck
// Generated from schema.ts by scripts/generate-validator.mjs. Do not edit.
const schema11 = {"type":"object","required":["memory","cpus","engine","arch","deterministic","reboot","strictIo","strictMsr","strictVirtio","exitOnHlt","detailedExits","disks","nets","rng","balloon","shares"],"properties":{"memory":{"type":"integer","minimum":2097152,"maximum":4227858432,"multipleOf":1048576},"cpus":{"type":"integer","minimum":1,"maximum":16},"engine":{"enum":["auto","soft"]},"arch":{"enum":["amd64","i386"]},"deterministic":{"type":"boolean"},"reboot":{"type":"boolean"},"timeout":{"type":"number","exclusiveMinimum":0},"strictIo":{"type":"boolean"},"strictMsr":{"type":"boolean"},"strictVirtio":{"type":"boolean"},"exitOnHlt":{"type":"boolean"},"detailedExits":{"type":"boolean"},"disks":{"type":"array","items":{"type":"object","required":["path","format","readonly"],"properties":{"path":{"type":"string"},"format":{"enum":["auto","raw","qcow2"]},"readonly":{"type":"boolean"}},"additionalProperties":false}},"nets":{"type":"array","items":{"type":"object","required":["kind"],"properties":{"kind":{"enum":["user","tap","bridge","socket"]},"mac":{"type":"string","pattern":"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},"hostLoopback":{"type":"boolean"},"forwards":{"type":"array","items":{"type":"object","required":["protocol","hostAddress","hostPort","guestPort"],"properties":{"protocol":{"enum":["tcp","udp"]},"hostAddress":{"type":"string"},"hostPort":{"type":"integer","minimum":0,"maximum":65535},"guestAddress":{"type":"string"},"guestPort":{"type":"integer","minimum":1,"maximum":65535}},"additionalProperties":false}},"name":{"type":"string"},"address":{"type":"string"},"path":{"type":"string"}},"additionalProperties":false}},"rng":{"type":"boolean"},"balloon":{"type":"boolean"},"shares":{"type":"array","items":{"type":"object","required":["path","tag","readonly"],"properties":{"path":{"type":"string"},"tag":{"type":"string"},"readonly":{"type":"boolean"}},"additionalProperties":false}},"vsock":{"type":"object","required":["path","cid"],"properties":{"path":{"type":"string"},"cid":{"type":"integer","minimum":3,"maximum":4294967294}},"additionalProperties":false}},"additionalProperties":false};
const func2 = Object.prototype.hasOwnProperty;
const pattern0 = new RegExp("^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$", "u");

export function validate(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((((((((data.memory === undefined) && (missing0 = "memory")) || ((data.cpus === undefined) && (missing0 = "cpus"))) || ((data.engine === undefined) && (missing0 = "engine"))) || ((data.arch === undefined) && (missing0 = "arch"))) || ((data.deterministic === undefined) && (missing0 = "deterministic"))) || ((data.reboot === undefined) && (missing0 = "reboot"))) || ((data.strictIo === undefined) && (missing0 = "strictIo"))) || ((data.strictMsr === undefined) && (missing0 = "strictMsr"))) || ((data.strictVirtio === undefined) && (missing0 = "strictVirtio"))) || ((data.exitOnHlt === undefined) && (missing0 = "exitOnHlt"))) || ((data.detailedExits === undefined) && (missing0 = "detailedExits"))) || ((data.disks === undefined) && (missing0 = "disks"))) || ((data.nets === undefined) && (missing0 = "nets"))) || ((data.rng === undefined) && (missing0 = "rng"))) || ((data.balloon === undefined) && (missing0 = "balloon"))) || ((data.shares === undefined) && (missing0 = "shares"))){
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
if(data0 > 4227858432 || isNaN(data0)){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/maximum",keyword:"maximum",params:{comparison: "<=", limit: 4227858432},message:"must be <= 4227858432",schema:4227858432,parentSchema:schema11.properties.memory,data:data0}];
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
if(!((data2 === "auto") || (data2 === "soft"))){
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
if(data.deterministic !== undefined){
let data4 = data.deterministic;
const _errs8 = errors;
if(typeof data4 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/deterministic",schemaPath:"#/properties/deterministic/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.deterministic.type,parentSchema:schema11.properties.deterministic,data:data4}];
return false;
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reboot !== undefined){
let data5 = data.reboot;
const _errs10 = errors;
if(typeof data5 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/reboot",schemaPath:"#/properties/reboot/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.reboot.type,parentSchema:schema11.properties.reboot,data:data5}];
return false;
}
var valid0 = _errs10 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.timeout !== undefined){
let data6 = data.timeout;
const _errs12 = errors;
if(errors === _errs12){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 <= 0 || isNaN(data6)){
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/exclusiveMinimum",keyword:"exclusiveMinimum",params:{comparison: ">", limit: 0},message:"must be > 0",schema:0,parentSchema:schema11.properties.timeout,data:data6}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/type",keyword:"type",params:{type: "number"},message:"must be number",schema:schema11.properties.timeout.type,parentSchema:schema11.properties.timeout,data:data6}];
return false;
}
}
var valid0 = _errs12 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictIo !== undefined){
let data7 = data.strictIo;
const _errs14 = errors;
if(typeof data7 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictIo",schemaPath:"#/properties/strictIo/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictIo.type,parentSchema:schema11.properties.strictIo,data:data7}];
return false;
}
var valid0 = _errs14 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictMsr !== undefined){
let data8 = data.strictMsr;
const _errs16 = errors;
if(typeof data8 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictMsr",schemaPath:"#/properties/strictMsr/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictMsr.type,parentSchema:schema11.properties.strictMsr,data:data8}];
return false;
}
var valid0 = _errs16 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictVirtio !== undefined){
let data9 = data.strictVirtio;
const _errs18 = errors;
if(typeof data9 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictVirtio",schemaPath:"#/properties/strictVirtio/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictVirtio.type,parentSchema:schema11.properties.strictVirtio,data:data9}];
return false;
}
var valid0 = _errs18 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.exitOnHlt !== undefined){
let data10 = data.exitOnHlt;
const _errs20 = errors;
if(typeof data10 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/exitOnHlt",schemaPath:"#/properties/exitOnHlt/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.exitOnHlt.type,parentSchema:schema11.properties.exitOnHlt,data:data10}];
return false;
}
var valid0 = _errs20 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detailedExits !== undefined){
let data11 = data.detailedExits;
const _errs22 = errors;
if(typeof data11 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/detailedExits",schemaPath:"#/properties/detailedExits/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.detailedExits.type,parentSchema:schema11.properties.detailedExits,data:data11}];
return false;
}
var valid0 = _errs22 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.disks !== undefined){
let data12 = data.disks;
const _errs24 = errors;
if(errors === _errs24){
if(Array.isArray(data12)){
var valid1 = true;
const len0 = data12.length;
for(let i0=0; i0<len0; i0++){
let data13 = data12[i0];
const _errs26 = errors;
if(errors === _errs26){
if(data13 && typeof data13 == "object" && !Array.isArray(data13)){
let missing1;
if((((data13.path === undefined) && (missing1 = "path")) || ((data13.format === undefined) && (missing1 = "format"))) || ((data13.readonly === undefined) && (missing1 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i0,schemaPath:"#/properties/disks/items/required",keyword:"required",params:{missingProperty: missing1},message:"must have required property '"+missing1+"'",schema:schema11.properties.disks.items.required,parentSchema:schema11.properties.disks.items,data:data13}];
return false;
}
else {
const _errs28 = errors;
for(const key1 in data13){
if(!(((key1 === "path") || (key1 === "format")) || (key1 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i0,schemaPath:"#/properties/disks/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key1},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.disks.items,data:data13}];
return false;
break;
}
}
if(_errs28 === errors){
if(data13.path !== undefined){
let data14 = data13.path;
const _errs29 = errors;
if(typeof data14 !== "string"){
validate.errors = [{instancePath:instancePath+"/disks/" + i0+"/path",schemaPath:"#/properties/disks/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.disks.items.properties.path.type,parentSchema:schema11.properties.disks.items.properties.path,data:data14}];
return false;
}
var valid2 = _errs29 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data13.format !== undefined){
let data15 = data13.format;
const _errs31 = errors;
if(!(((data15 === "auto") || (data15 === "raw")) || (data15 === "qcow2"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i0+"/format",schemaPath:"#/properties/disks/items/properties/format/enum",keyword:"enum",params:{allowedValues: schema11.properties.disks.items.properties.format.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.disks.items.properties.format.enum,parentSchema:schema11.properties.disks.items.properties.format,data:data15}];
return false;
}
var valid2 = _errs31 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data13.readonly !== undefined){
let data16 = data13.readonly;
const _errs32 = errors;
if(typeof data16 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/disks/" + i0+"/readonly",schemaPath:"#/properties/disks/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.disks.items.properties.readonly.type,parentSchema:schema11.properties.disks.items.properties.readonly,data:data16}];
return false;
}
var valid2 = _errs32 === errors;
}
else {
var valid2 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks/" + i0,schemaPath:"#/properties/disks/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.disks.items.type,parentSchema:schema11.properties.disks.items,data:data13}];
return false;
}
}
var valid1 = _errs26 === errors;
if(!valid1){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks",schemaPath:"#/properties/disks/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.disks.type,parentSchema:schema11.properties.disks,data:data12}];
return false;
}
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.nets !== undefined){
let data17 = data.nets;
const _errs34 = errors;
if(errors === _errs34){
if(Array.isArray(data17)){
var valid3 = true;
const len1 = data17.length;
for(let i1=0; i1<len1; i1++){
let data18 = data17[i1];
const _errs36 = errors;
if(errors === _errs36){
if(data18 && typeof data18 == "object" && !Array.isArray(data18)){
let missing2;
if((data18.kind === undefined) && (missing2 = "kind")){
validate.errors = [{instancePath:instancePath+"/nets/" + i1,schemaPath:"#/properties/nets/items/required",keyword:"required",params:{missingProperty: missing2},message:"must have required property '"+missing2+"'",schema:schema11.properties.nets.items.required,parentSchema:schema11.properties.nets.items,data:data18}];
return false;
}
else {
const _errs38 = errors;
for(const key2 in data18){
if(!(((((((key2 === "kind") || (key2 === "mac")) || (key2 === "hostLoopback")) || (key2 === "forwards")) || (key2 === "name")) || (key2 === "address")) || (key2 === "path"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1,schemaPath:"#/properties/nets/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key2},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items,data:data18}];
return false;
break;
}
}
if(_errs38 === errors){
if(data18.kind !== undefined){
let data19 = data18.kind;
const _errs39 = errors;
if(!((((data19 === "user") || (data19 === "tap")) || (data19 === "bridge")) || (data19 === "socket"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/kind",schemaPath:"#/properties/nets/items/properties/kind/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.kind.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.kind.enum,parentSchema:schema11.properties.nets.items.properties.kind,data:data19}];
return false;
}
var valid4 = _errs39 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.mac !== undefined){
let data20 = data18.mac;
const _errs40 = errors;
if(errors === _errs40){
if(typeof data20 === "string"){
if(!pattern0.test(data20)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/mac",schemaPath:"#/properties/nets/items/properties/mac/pattern",keyword:"pattern",params:{pattern: "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},message:"must match pattern \""+"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"+"\"",schema:"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",parentSchema:schema11.properties.nets.items.properties.mac,data:data20}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/mac",schemaPath:"#/properties/nets/items/properties/mac/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.mac.type,parentSchema:schema11.properties.nets.items.properties.mac,data:data20}];
return false;
}
}
var valid4 = _errs40 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.hostLoopback !== undefined){
let data21 = data18.hostLoopback;
const _errs42 = errors;
if(typeof data21 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/hostLoopback",schemaPath:"#/properties/nets/items/properties/hostLoopback/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.nets.items.properties.hostLoopback.type,parentSchema:schema11.properties.nets.items.properties.hostLoopback,data:data21}];
return false;
}
var valid4 = _errs42 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.forwards !== undefined){
let data22 = data18.forwards;
const _errs44 = errors;
if(errors === _errs44){
if(Array.isArray(data22)){
var valid5 = true;
const len2 = data22.length;
for(let i2=0; i2<len2; i2++){
let data23 = data22[i2];
const _errs46 = errors;
if(errors === _errs46){
if(data23 && typeof data23 == "object" && !Array.isArray(data23)){
let missing3;
if(((((data23.protocol === undefined) && (missing3 = "protocol")) || ((data23.hostAddress === undefined) && (missing3 = "hostAddress"))) || ((data23.hostPort === undefined) && (missing3 = "hostPort"))) || ((data23.guestPort === undefined) && (missing3 = "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2,schemaPath:"#/properties/nets/items/properties/forwards/items/required",keyword:"required",params:{missingProperty: missing3},message:"must have required property '"+missing3+"'",schema:schema11.properties.nets.items.properties.forwards.items.required,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data23}];
return false;
}
else {
const _errs48 = errors;
for(const key3 in data23){
if(!(((((key3 === "protocol") || (key3 === "hostAddress")) || (key3 === "hostPort")) || (key3 === "guestAddress")) || (key3 === "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2,schemaPath:"#/properties/nets/items/properties/forwards/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key3},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data23}];
return false;
break;
}
}
if(_errs48 === errors){
if(data23.protocol !== undefined){
let data24 = data23.protocol;
const _errs49 = errors;
if(!((data24 === "tcp") || (data24 === "udp"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/protocol",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/protocol/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.protocol,data:data24}];
return false;
}
var valid6 = _errs49 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.hostAddress !== undefined){
let data25 = data23.hostAddress;
const _errs50 = errors;
if(typeof data25 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress,data:data25}];
return false;
}
var valid6 = _errs50 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.hostPort !== undefined){
let data26 = data23.hostPort;
const _errs52 = errors;
if(!(((typeof data26 == "number") && (!(data26 % 1) && !isNaN(data26))) && (isFinite(data26)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data26}];
return false;
}
if(errors === _errs52){
if((typeof data26 == "number") && (isFinite(data26))){
if(data26 > 65535 || isNaN(data26)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data26}];
return false;
}
else {
if(data26 < 0 || isNaN(data26)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data26}];
return false;
}
}
}
}
var valid6 = _errs52 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.guestAddress !== undefined){
let data27 = data23.guestAddress;
const _errs54 = errors;
if(typeof data27 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress,data:data27}];
return false;
}
var valid6 = _errs54 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data23.guestPort !== undefined){
let data28 = data23.guestPort;
const _errs56 = errors;
if(!(((typeof data28 == "number") && (!(data28 % 1) && !isNaN(data28))) && (isFinite(data28)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data28}];
return false;
}
if(errors === _errs56){
if((typeof data28 == "number") && (isFinite(data28))){
if(data28 > 65535 || isNaN(data28)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data28}];
return false;
}
else {
if(data28 < 1 || isNaN(data28)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data28}];
return false;
}
}
}
}
var valid6 = _errs56 === errors;
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
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2,schemaPath:"#/properties/nets/items/properties/forwards/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.properties.forwards.items.type,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data23}];
return false;
}
}
var valid5 = _errs46 === errors;
if(!valid5){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards",schemaPath:"#/properties/nets/items/properties/forwards/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.items.properties.forwards.type,parentSchema:schema11.properties.nets.items.properties.forwards,data:data22}];
return false;
}
}
var valid4 = _errs44 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.name !== undefined){
let data29 = data18.name;
const _errs58 = errors;
if(typeof data29 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/name",schemaPath:"#/properties/nets/items/properties/name/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.name.type,parentSchema:schema11.properties.nets.items.properties.name,data:data29}];
return false;
}
var valid4 = _errs58 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.address !== undefined){
let data30 = data18.address;
const _errs60 = errors;
if(typeof data30 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/address",schemaPath:"#/properties/nets/items/properties/address/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.address.type,parentSchema:schema11.properties.nets.items.properties.address,data:data30}];
return false;
}
var valid4 = _errs60 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data18.path !== undefined){
let data31 = data18.path;
const _errs62 = errors;
if(typeof data31 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/path",schemaPath:"#/properties/nets/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.path.type,parentSchema:schema11.properties.nets.items.properties.path,data:data31}];
return false;
}
var valid4 = _errs62 === errors;
}
else {
var valid4 = true;
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
validate.errors = [{instancePath:instancePath+"/nets/" + i1,schemaPath:"#/properties/nets/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.type,parentSchema:schema11.properties.nets.items,data:data18}];
return false;
}
}
var valid3 = _errs36 === errors;
if(!valid3){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets",schemaPath:"#/properties/nets/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.type,parentSchema:schema11.properties.nets,data:data17}];
return false;
}
}
var valid0 = _errs34 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.rng !== undefined){
let data32 = data.rng;
const _errs64 = errors;
if(typeof data32 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/rng",schemaPath:"#/properties/rng/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.rng.type,parentSchema:schema11.properties.rng,data:data32}];
return false;
}
var valid0 = _errs64 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.balloon !== undefined){
let data33 = data.balloon;
const _errs66 = errors;
if(typeof data33 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/balloon",schemaPath:"#/properties/balloon/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.balloon.type,parentSchema:schema11.properties.balloon,data:data33}];
return false;
}
var valid0 = _errs66 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.shares !== undefined){
let data34 = data.shares;
const _errs68 = errors;
if(errors === _errs68){
if(Array.isArray(data34)){
var valid7 = true;
const len3 = data34.length;
for(let i3=0; i3<len3; i3++){
let data35 = data34[i3];
const _errs70 = errors;
if(errors === _errs70){
if(data35 && typeof data35 == "object" && !Array.isArray(data35)){
let missing4;
if((((data35.path === undefined) && (missing4 = "path")) || ((data35.tag === undefined) && (missing4 = "tag"))) || ((data35.readonly === undefined) && (missing4 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i3,schemaPath:"#/properties/shares/items/required",keyword:"required",params:{missingProperty: missing4},message:"must have required property '"+missing4+"'",schema:schema11.properties.shares.items.required,parentSchema:schema11.properties.shares.items,data:data35}];
return false;
}
else {
const _errs72 = errors;
for(const key4 in data35){
if(!(((key4 === "path") || (key4 === "tag")) || (key4 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i3,schemaPath:"#/properties/shares/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key4},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.shares.items,data:data35}];
return false;
break;
}
}
if(_errs72 === errors){
if(data35.path !== undefined){
let data36 = data35.path;
const _errs73 = errors;
if(typeof data36 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i3+"/path",schemaPath:"#/properties/shares/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.path.type,parentSchema:schema11.properties.shares.items.properties.path,data:data36}];
return false;
}
var valid8 = _errs73 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data35.tag !== undefined){
let data37 = data35.tag;
const _errs75 = errors;
if(typeof data37 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i3+"/tag",schemaPath:"#/properties/shares/items/properties/tag/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.tag.type,parentSchema:schema11.properties.shares.items.properties.tag,data:data37}];
return false;
}
var valid8 = _errs75 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data35.readonly !== undefined){
let data38 = data35.readonly;
const _errs77 = errors;
if(typeof data38 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/shares/" + i3+"/readonly",schemaPath:"#/properties/shares/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.shares.items.properties.readonly.type,parentSchema:schema11.properties.shares.items.properties.readonly,data:data38}];
return false;
}
var valid8 = _errs77 === errors;
}
else {
var valid8 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares/" + i3,schemaPath:"#/properties/shares/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.shares.items.type,parentSchema:schema11.properties.shares.items,data:data35}];
return false;
}
}
var valid7 = _errs70 === errors;
if(!valid7){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares",schemaPath:"#/properties/shares/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.shares.type,parentSchema:schema11.properties.shares,data:data34}];
return false;
}
}
var valid0 = _errs68 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.vsock !== undefined){
let data39 = data.vsock;
const _errs79 = errors;
if(errors === _errs79){
if(data39 && typeof data39 == "object" && !Array.isArray(data39)){
let missing5;
if(((data39.path === undefined) && (missing5 = "path")) || ((data39.cid === undefined) && (missing5 = "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/required",keyword:"required",params:{missingProperty: missing5},message:"must have required property '"+missing5+"'",schema:schema11.properties.vsock.required,parentSchema:schema11.properties.vsock,data:data39}];
return false;
}
else {
const _errs81 = errors;
for(const key5 in data39){
if(!((key5 === "path") || (key5 === "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key5},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.vsock,data:data39}];
return false;
break;
}
}
if(_errs81 === errors){
if(data39.path !== undefined){
let data40 = data39.path;
const _errs82 = errors;
if(typeof data40 !== "string"){
validate.errors = [{instancePath:instancePath+"/vsock/path",schemaPath:"#/properties/vsock/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.vsock.properties.path.type,parentSchema:schema11.properties.vsock.properties.path,data:data40}];
return false;
}
var valid9 = _errs82 === errors;
}
else {
var valid9 = true;
}
if(valid9){
if(data39.cid !== undefined){
let data41 = data39.cid;
const _errs84 = errors;
if(!(((typeof data41 == "number") && (!(data41 % 1) && !isNaN(data41))) && (isFinite(data41)))){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.vsock.properties.cid.type,parentSchema:schema11.properties.vsock.properties.cid,data:data41}];
return false;
}
if(errors === _errs84){
if((typeof data41 == "number") && (isFinite(data41))){
if(data41 > 4294967294 || isNaN(data41)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 4294967294},message:"must be <= 4294967294",schema:4294967294,parentSchema:schema11.properties.vsock.properties.cid,data:data41}];
return false;
}
else {
if(data41 < 3 || isNaN(data41)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/minimum",keyword:"minimum",params:{comparison: ">=", limit: 3},message:"must be >= 3",schema:3,parentSchema:schema11.properties.vsock.properties.cid,data:data41}];
return false;
}
}
}
}
var valid9 = _errs84 === errors;
}
else {
var valid9 = true;
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.vsock.type,parentSchema:schema11.properties.vsock,data:data39}];
return false;
}
}
var valid0 = _errs79 === errors;
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
else {
validate.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.type,parentSchema:schema11,data}];
return false;
}
}
validate.errors = vErrors;
return errors === 0;
}
