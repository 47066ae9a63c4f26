from tests.support import aws as support

emulator = support.emulator
aws = support.aws
