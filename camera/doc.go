// Package camera is where pictures come from: Frame is one of them, Decoder makes it from the bytes of a file, and the
// sources bring it. OpenCV decodes, through GoCV. What a Frame shows is not this package's business, nor what size a
// network wants: package preprocess makes tensors of frames.
//
// Pictures come from strangers, so no decoder sees a file before package picture has. It tells the format by magic
// bytes, takes the size from the header, walks the file to its end marker, and bounds the memory that decoding takes;
// what the decoder then gets is the stripped file: header, tables and coded pixels, no metadata, and nothing that the
// size was not taken from. (A JPEG that is wanted at an eighth of its size is first tried by a decoder of this package's own, which
// passes over what is stripped else.) OpenCV's own limits (OPENCV_IO_MAX_IMAGE_PIXELS, _WIDTH and _HEIGHT) are a second wall at
// best: it reads them while the library is loaded, before any code of this program, so they only count where the
// environment that the process is started with has them, as a systemd unit's Environment= can.
//
// libjpeg and libpng write a line to standard error about a picture whose pixels are broken; nothing turns that off.
package camera
