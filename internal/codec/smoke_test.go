package codec
import ("testing";"reflect";"unsafe";"time";"net/url";"math/big")
func TestSmoke(t *testing.T){
 type T struct { A int; B string; C []string; D map[string]any; E *T; F time.Time; G any; U *url.URL; X *big.Int }
 u,_ := url.Parse("http://a:b@c/d?e#f")
 v := T{A:1,B:"x",C:[]string{"a",""},D:map[string]any{"a":int8(3),"b":[]any{nil,true}},E:&T{},F:time.Now().Round(0),G:T{A:7},U:u,X:big.NewInt(5)}
 ct := Of(reflect.TypeFor[T]())
 if ct.Err()!=nil{t.Fatal(ct.Err())}
 b,err := ct.Append(nil, unsafe.Pointer(&v))
 if err!=nil{t.Fatal(err)}
 var w T
 if err := ct.Decode(b, unsafe.Pointer(&w)); err!=nil{t.Fatal(err)}
 if !reflect.DeepEqual(v,w){t.Errorf("%+v\n%+v",v,w)}
 t.Log(ct.Size(unsafe.Pointer(&v)), ct.Fingerprint(), len(b))
}
