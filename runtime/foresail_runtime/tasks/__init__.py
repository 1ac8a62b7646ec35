"""From what people send to tensors and back: photographs to boxes or classes, rows of a table to columns.

    bytes ──images──> RGB picture ──pixels, letterbox──> tensors ──engine──> tensors
          ──finished, layouts, suppression──> boxes

Everything here is a function of its arguments over numpy and Pillow: no sockets, no event loop, no threads. It
takes milliseconds of CPU, so callers run it in an executor. `choose.task` says which task a model is for,
`pictures.describe` makes the object that prepares and answers for one loaded model.

What a model's file may say about itself (its ONNX metadata), all of it optional:

- `names`: class names, a dict or a list as Ultralytics' exports write it, or JSON. Without it: a labels file
  beside the model (`labels.FILES`), if its names can be this model's; else COCO's names for 80 classes, ImageNet's
  for 1000; else the ids.
- `task`: detect or classify; else told from the outputs' shapes (`choose`, `finished`, `layouts`).
- `imgsz`: [height, width] where the input's size is dynamic; else 640 x 640 (detection) or 224 x 224.
- `foresail.mean`, `foresail.std`: one number or one a channel, in units of 0 to 255; else 0 and 255 for detection,
  127 and 128 for classification.
- `foresail.crop`: side of the centre crop as a part of the short side, over 0 up to 1; else 0.875. It is cut in
  whole pixels, rounded down.
- `foresail.fit`: letterbox or stretch, how a picture of another shape fits a detector's input; else stretch for
  RT-DETR as Ultralytics exports it (`description`), letterbox for all others.
- `foresail.interpolation`: nearest, bilinear, bicubic or lanczos; else bilinear (detection) or bicubic.
- `foresail.activation`: none, softmax or sigmoid, what makes confidences of a classifier's outputs; else softmax,
  unless they are from 0 to 1 and, where there are two, sum to one.
- `author`: of Ultralytics' classifiers the whole short side is taken, bilinear, divided by 255.
"""
