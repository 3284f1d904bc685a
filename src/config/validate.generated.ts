// @ts-nocheck
// Generated from schema.ts by scripts/generate-validator.mjs. Do not edit.
const schema11 = {"type":"object","required":["memory","cpus","engine","arch","deterministic","reboot","strictIo","strictMsr","exitOnHlt","detailedExits"],"properties":{"memory":{"type":"integer","minimum":2097152,"maximum":4227858432,"multipleOf":1048576},"cpus":{"type":"integer","minimum":1,"maximum":16},"engine":{"enum":["auto","soft"]},"arch":{"enum":["amd64","i386"]},"deterministic":{"type":"boolean"},"reboot":{"type":"boolean"},"timeout":{"type":"number","exclusiveMinimum":0},"strictIo":{"type":"boolean"},"strictMsr":{"type":"boolean"},"exitOnHlt":{"type":"boolean"},"detailedExits":{"type":"boolean"}},"additionalProperties":false};
const func2 = Object.prototype.hasOwnProperty;

export function validate(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((data.memory === undefined) && (missing0 = "memory")) || ((data.cpus === undefined) && (missing0 = "cpus"))) || ((data.engine === undefined) && (missing0 = "engine"))) || ((data.arch === undefined) && (missing0 = "arch"))) || ((data.deterministic === undefined) && (missing0 = "deterministic"))) || ((data.reboot === undefined) && (missing0 = "reboot"))) || ((data.strictIo === undefined) && (missing0 = "strictIo"))) || ((data.strictMsr === undefined) && (missing0 = "strictMsr"))) || ((data.exitOnHlt === undefined) && (missing0 = "exitOnHlt"))) || ((data.detailedExits === undefined) && (missing0 = "detailedExits"))){
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
if(data.exitOnHlt !== undefined){
let data9 = data.exitOnHlt;
const _errs18 = errors;
if(typeof data9 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/exitOnHlt",schemaPath:"#/properties/exitOnHlt/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.exitOnHlt.type,parentSchema:schema11.properties.exitOnHlt,data:data9}];
return false;
}
var valid0 = _errs18 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detailedExits !== undefined){
let data10 = data.detailedExits;
const _errs20 = errors;
if(typeof data10 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/detailedExits",schemaPath:"#/properties/detailedExits/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.detailedExits.type,parentSchema:schema11.properties.detailedExits,data:data10}];
return false;
}
var valid0 = _errs20 === errors;
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
else {
validate.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.type,parentSchema:schema11,data}];
return false;
}
}
validate.errors = vErrors;
return errors === 0;
}
