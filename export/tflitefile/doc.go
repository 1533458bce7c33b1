// Package tflitefile writes, reads, checks and prints .tflite files: the flatbuffer (schema version 3, identifier
// TFL3) with one subgraph, and the TensorFlow Lite Metadata (schema 1.5.0, identifier M001) with its associated
// files in a zip after the flatbuffer.
//
// It handles what an image classifier of convolutions needs: the operators with Options in this package and a few
// that take none. Reading is more tolerant than writing: a stranger's file with other operators is read too, its
// unknown options are left nil. The package knows nothing of networks, weights or quantization methods, runs no
// model, and doesn't handle several subgraphs, sparse or variable tensors, dynamic shapes, custom options, or
// models of more than 2 GB.
//
// The flatbuffer's tables are written and read by slot number, a field's place in TensorFlow's schema.fbs and
// metadata_schema.fbs: schema.go lists them for the tables of the file, options_table.go has those of the operators'
// options.
package tflitefile
